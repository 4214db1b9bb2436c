package provider

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
)

// style is the whole look of the provider's pages. They load nothing.
const style = `:root{color-scheme:light dark;--ink:#1b2430;--soft:#55606e;--ground:#eef1f6;--card:#fff;--line:#c8d0dc;--act:#3547b5;--tint:#edf0fd;--warn:#8a5300;--warm:#fff3dc}
@media (prefers-color-scheme:dark){:root{--ink:#e8ecf3;--soft:#a9b4c4;--ground:#10141b;--card:#1a202a;--line:#384253;--act:#aab8ff;--tint:#252d45;--warn:#ffce80;--warm:#33270f}}
*{box-sizing:border-box}
body{font:1rem/1.5 system-ui,sans-serif;margin:0;padding:2rem min(1rem,4vw);display:grid;grid-template-columns:minmax(0,1fr);place-items:center;min-height:100vh;background:var(--ground);color:var(--ink)}
main{width:100%;max-width:27rem;padding:2rem min(1.75rem,6vw);background:var(--card);border:1px solid var(--line);border-radius:1rem;box-shadow:0 1rem 3rem rgb(0 0 0/.08)}
.demo{display:inline-block;margin:0 0 1rem;padding:.2rem .7rem;border-radius:1rem;background:var(--warm);color:var(--warn);font-size:.85rem;font-weight:600}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 .35rem}
p{margin:0 0 1.25rem;color:var(--soft);overflow-wrap:anywhere}
p strong{color:var(--ink)}
ul{list-style:none;margin:0 0 1rem;padding:0;display:grid;grid-template-columns:minmax(0,1fr);gap:.6rem}
button,input{font:inherit;color:inherit;width:100%;min-height:2.75rem;padding:.7rem .9rem;border:1px solid var(--line);border-radius:.7rem;background:transparent}
button{cursor:pointer;text-align:left}
button:hover{border-color:var(--act);background:var(--tint)}
button:focus-visible,input:focus-visible{outline:3px solid var(--act);outline-offset:2px}
.user{display:grid;grid-template-columns:min(2.75rem,14vw) minmax(0,1fr);overflow-wrap:anywhere;column-gap:.9rem;align-items:center;font-weight:600}
.user span{grid-row:span 2;display:grid;place-items:center;height:min(2.75rem,14vw);border-radius:50%;background:var(--act);color:var(--card);font-size:1.15rem}
.user small{color:var(--soft);font-weight:400;overflow-wrap:anywhere}
label{display:block;margin:.9rem 0;font-weight:600}
label input{display:block;margin-top:.3rem;font-weight:400}
.quiet{text-align:center;color:var(--act);font-weight:600}
footer{margin-top:1.5rem;padding-top:1rem;border-top:1px solid var(--line);font-size:.85rem;color:var(--soft)}`

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
<div class="demo">Demo provider</div>
<h1>{{.}}</h1>
{{end}}
{{define "bottom"}}<footer>This is no real sign-in: a provider for development, where anybody can be anybody and nobody is asked for a password.</footer>
</main>
</body>
</html>
{{end}}
{{define "users"}}{{template "top" "Sign in"}}
<p>Who do you want to be, for <strong>{{.Client}}</strong>?</p>
<form method="post" action="{{.Action}}">
<input type="hidden" name="flow" value="{{.Flow}}">
<ul>{{range .Users}}
<li><button class="user" name="user" value="{{.Sub}}"><span aria-hidden="true">{{.Initial}}</span>{{.Name}} <small>{{.Email}}</small></button></li>{{end}}
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
