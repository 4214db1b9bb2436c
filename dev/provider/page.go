package provider

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
)

// style is the whole look of the provider's pages. They load nothing.
const style = `:root{color-scheme:light dark}
body{font:1rem/1.5 system-ui,sans-serif;margin:0;padding:2rem 1rem;display:grid;place-items:center;min-height:calc(100vh - 4rem)}
main{width:min(26rem,100%)}
h1{font-size:1.4rem;margin:0 0 .25rem}
p{margin:.25rem 0 1.25rem}
ul{list-style:none;margin:0 0 1rem;padding:0;display:grid;gap:.5rem}
button,input{font:inherit;width:100%;box-sizing:border-box;padding:.7rem .9rem;border:1px solid #888;border-radius:.5rem}
button{cursor:pointer;text-align:left}
button:hover{border-color:currentColor}
button:focus-visible,input:focus-visible{outline:3px solid #2f6fed;outline-offset:2px}
button small{display:block}
label{display:block;margin:.75rem 0}
.quiet{text-align:center}
footer{margin-top:1.5rem;font-size:.85rem}`

const pages = `{{define "top"}}<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{{.}}</title>
<style>` + style + `</style>
</head>
<body>
<main>
<h1>{{.}}</h1>
{{end}}
{{define "bottom"}}<footer>A development provider. It asks nobody for a password.</footer>
</main>
</body>
</html>
{{end}}
{{define "users"}}{{template "top" "Sign in"}}
<p>Who are you, for <strong>{{.Client}}</strong>?</p>
<form method="post" action="{{.Action}}">
<input type="hidden" name="flow" value="{{.Flow}}">
<ul>{{range .Users}}
<li><button name="user" value="{{.Sub}}">{{.Name}}<small>{{.Email}}</small></button></li>{{end}}
</ul>
<button class="quiet" name="deny" value="1">Do not sign in</button>
</form>
{{template "bottom"}}{{end}}
{{define "create"}}{{template "top" "Create an account"}}
<p>A new user, for <strong>{{.Client}}</strong>.</p>
<form method="post" action="{{.Action}}">
<input type="hidden" name="flow" value="{{.Flow}}">
<label>Name <input name="name" autocomplete="name"></label>
<label>Email <input name="email" type="email" required autocomplete="email" value="{{.Hint}}"></label>
<button class="quiet">Create the account</button>
</form>
<form method="post" action="{{.Action}}">
<input type="hidden" name="flow" value="{{.Flow}}">
<p><button class="quiet" name="deny" value="1">Do not sign in</button></p>
</form>
{{template "bottom"}}{{end}}
{{define "error"}}{{template "top" "This cannot work"}}
<p>{{.}}</p>
{{template "bottom"}}{{end}}
{{define "out"}}{{template "top" "You are signed out"}}
<p>You can close this page.</p>
{{template "bottom"}}{{end}}`

// signInPage is what the page of users shows.
type signInPage struct {
	Action string // where the form goes
	Flow   string
	Client string
	Hint   string
	Users  []User
	Create bool
}

func usersPage(page signInPage) reply {
	if page.Create {
		return render(http.StatusOK, "create", page)
	}
	return render(http.StatusOK, "users", page)
}

func errorPage(text string) reply { return render(http.StatusBadRequest, "error", text) }

func signedOutPage() reply { return render(http.StatusOK, "out", nil) }

func render(status int, name string, data any) reply {
	var body bytes.Buffer
	if err := template.Must(template.New("pages").Parse(pages)).ExecuteTemplate(&body, name, data); err != nil {
		return newReply(http.StatusInternalServerError, "text/plain; charset=utf-8", []byte(err.Error()))
	}
	re := newReply(status, "text/html; charset=utf-8", body.Bytes())
	sum := sha256.Sum256([]byte(style))
	// No form-action: browsers apply it to the redirect after a form as well, and that one leads to the client.
	re.header.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src 'sha256-"+
		base64.StdEncoding.EncodeToString(sum[:])+"'")
	re.header.Set("Referrer-Policy", "no-referrer")
	re.header.Set("X-Content-Type-Options", "nosniff")
	return re
}
