package spa_test

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/surface"
)

// rendered makes a world whose paths, but for the surface's own, are a server-rendered app behind AdmitPage, and below
// /open/ behind AdmitGuest. The app answers with who asks, for what, and what was sent.
func rendered(w *world) *world {
	own := w.handler()
	page := func(rw http.ResponseWriter, r *http.Request) error {
		var session *bff.Session
		var err error
		who, open := "nobody", strings.HasPrefix(r.URL.Path, "/open/")
		if open {
			var bare bool
			if session, bare, err = w.surface.AdmitGuest(rw, r); bare {
				who = "bare"
			}
		} else {
			session, err = w.surface.AdmitPage(rw, r)
		}
		if err != nil || session == nil && !open {
			return err
		}
		if session != nil {
			who = session.Subject
		}
		body, err := io.ReadAll(r.Body)
		if err == nil {
			_, err = fmt.Fprintf(rw, "%s %s %s\n%s\n%s", who, r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), body)
		}
		return err
	}
	w.server.Close()
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/bff/") {
			own.ServeHTTP(rw, r)
			return
		}
		if err := page(rw, r); err != nil {
			surface.WriteError(rw, r, err, surface.Info{RequestID: "req-1", LoginURL: w.surface.LoginURL(r), HomeURL: "/"})
		}
	}))
	return w
}

// post sends a body of a type, as a form on a page of that site does.
func (b *browser) post(path, site, media, body string, fields ...string) *answer {
	b.w.t.Helper()
	req, err := http.NewRequest(http.MethodPost, b.w.server.URL+path, strings.NewReader(body))
	if err != nil {
		b.w.t.Fatal(err)
	}
	if site != "" {
		fields = append(fields, nav(site)...)
	}
	for i := 0; i+1 < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	req.Header.Set("Content-Type", media)
	if sent := b.header(site == "cross-site"); sent != "" {
		req.Header.Set("Cookie", sent)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	b.keep(res)
	return &answer{res.StatusCode, res.Header, string(text)}
}

const urlencoded = "application/x-www-form-urlencoded"

// What comes to a page of a server-rendered app, by who sends it and from where.
//
// shows ERR-NAV, CSRF-1, CSRF-3, SESS-503 (server-rendered apps)
func TestWhoSeesAPageOfASite(t *testing.T) {
	const page, login = "/notes/7?view=full&x=%2F;1", "/bff/login?return_to=%2Fnotes%2F7%3Fview%3Dfull%26x%3D%252F%3B1"
	asset := func(site string) []string {
		return []string{"Sec-Fetch-Site", site, "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "style"}
	}
	script := func(site string) []string {
		return []string{"Sec-Fetch-Site", site, "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}
	}
	frame := []string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}
	const shown, asks, moves, form, problem, told, forged, outage = "shown", "asks", "moves", "form", "problem", "told", "forged", "outage"
	nobody, ann, ghost := func(*browser) {}, (*browser).signIn, func(b *browser) {
		b.cookies = []cookie{{name: sessionCookie, value: bff.NewRoot().Reveal()}}
	}
	ended := func(b *browser) { b.signIn(); b.w.advance(13 * time.Hour) }
	down := func(b *browser) { b.signIn(); b.w.store.setDown(true) }
	states := []struct {
		name string
		who  func(*browser)
	}{{"somebody", ann}, {"nobody", nobody}, {"a dead cookie", ghost}, {"a session that ended", ended}, {"somebody in an outage", down}}
	for _, row := range []struct {
		kind   string
		method string
		fields []string
		want   [5]string // by state
	}{
		{"a visit, typed", "GET", nav("none"), [5]string{shown, asks, asks, asks, outage}},
		{"a visit from the app", "GET", nav("same-origin"), [5]string{shown, asks, asks, asks, outage}},
		{"a visit from elsewhere", "GET", nav("cross-site"), [5]string{shown, moves, moves, moves, outage}},
		{"a visit without metadata", "GET", []string{"Accept", "text/html"}, [5]string{shown, asks, asks, asks, outage}},
		{"HEAD", "HEAD", nav("none"), [5]string{shown, told, told, told, outage}},
		{"a style of its own page", "GET", asset("same-origin"), [5]string{shown, problem, problem, problem, outage}},
		{"a style of another site's page", "GET", asset("cross-site"), [5]string{forged, problem, forged, forged, forged}},
		{"a style of a sibling's page", "GET", asset("same-site"), [5]string{forged, problem, forged, forged, forged}},
		{"a fetch of its own page", "GET", script("same-origin"), [5]string{shown, problem, problem, problem, outage}},
		{"a fetch of another site's page", "GET", script("cross-site"), [5]string{forged, problem, forged, forged, forged}},
		{"a frame of its own page", "GET", frame, [5]string{shown, told, told, told, outage}},
		{"a form of its own page", "POST", nav("same-origin"), [5]string{shown, form, form, form, outage}},
		{"a form of its own page by an old browser", "POST", []string{"Accept", "text/html", "Origin", origin}, [5]string{shown, form, form, form, outage}},
		{"a form of another site", "POST", nav("cross-site"), [5]string{forged, forged, forged, forged, forged}},
		{"a form of a sibling", "POST", nav("same-site"), [5]string{forged, forged, forged, forged, forged}},
		{"a form of nobody's", "POST", nav("none"), [5]string{forged, forged, forged, forged, forged}},
		{"a form without metadata and origin", "POST", []string{"Accept", "text/html"}, [5]string{forged, forged, forged, forged, forged}},
		{"a form in a frame", "POST", frame, [5]string{shown, told, told, told, outage}},
		{"a fetch that posts", "POST", script("same-origin"), [5]string{shown, problem, problem, problem, outage}},
		{"a fetch that posts from elsewhere", "POST", script("cross-site"), [5]string{forged, problem, forged, forged, forged}},
	} {
		for i, state := range states {
			w := rendered(newWorld(t, func(app *bff.App, _ *surface.LoginPolicy) { app.LaxCookie = true }))
			b := w.browser()
			state.who(b)
			a := b.send(row.method, page, row.fields...)
			w.store.setDown(false)
			got := "?"
			switch isProblem := a.header.Get("Content-Type") == "application/problem+json"; {
			case a.status == 200 && (row.method == "HEAD" || strings.HasPrefix(a.body, "ann "+row.method+" "+page)):
				got = shown
			case a.status == 303 && a.location() == login+"%26bff_step%3Dlanded":
				got = asks
			case a.status == 200 && strings.Contains(a.body, `http-equiv="refresh"`):
				got = moves
			case a.status == 401 && strings.Contains(a.body, "<title>Sign in, then send the form again</title>"):
				got = form
			case a.status == 401 && isProblem && strings.Contains(a.body, `"login_url":"/bff/login"`):
				got = problem
			case a.status == 401 && !isProblem:
				got = told
			case a.status == 403 && (isProblem && strings.Contains(a.body, `"csrf_failed"`) || strings.Contains(a.body, "Code: csrf_failed")) && !strings.Contains(a.body, "<form"):
				got = forged
			case a.status == 503 && b.value(sessionCookie) != "":
				got = outage
			}
			if got != row.want[i] {
				t.Errorf("%s, by %s: %s, want %s: %d %s\n%.300s", row.kind, state.name, got, row.want[i], a.status, a.location(), a.body)
			}
		}
	}
}

// The very page comes back, byte for byte, whatever stands in its query.
func TestADeepLinkComesBack(t *testing.T) {
	for _, lax := range []bool{true, false} {
		for _, page := range []string{"/notes/7", "/notes/7?a=1&b=2", "/caf%C3%A9?q=%2F%26+x;y&empty=&=&flag&u=https://x.example/?a=b", "/a%20b?x=%00%ff"} {
			w := rendered(newWorld(t, func(app *bff.App, _ *surface.LoginPolicy) { app.LaxCookie = lax }))
			v := &window{browser: w.browser(), arrives: "cross-site"}
			if a := v.visit(page, "none"); a.body != "ann GET "+page+"\n\n" {
				t.Errorf("lax %v, %s: %s\n%s", lax, page, a.body, strings.Join(v.came, "\n"))
			}
		}
	}
}

var (
	hidden = regexp.MustCompile(`<input type="(hidden|file)" name="([^"]*)"(?: value="([^"]*)"| hidden)>`)
	posts  = regexp.MustCompile(`<form method="post"( enctype="multipart/form-data")? accept-charset="utf-8">`)
)

// again is what a browser sends when the button of a page that keeps a form is pressed: its fields in their order, encoded
// as the HTML standard says.
func again(t *testing.T, page, boundary string) (media, body string) {
	t.Helper()
	form := posts.FindStringSubmatch(page)
	if form == nil {
		t.Fatalf("no form on %s", page)
	}
	var pairs []string
	var parts bytes.Buffer
	for _, in := range hidden.FindAllStringSubmatch(page, -1) {
		name, value := html.UnescapeString(in[2]), strings.ReplaceAll(strings.ReplaceAll(html.UnescapeString(in[3]), "\r\n", "\n"), "\n", "\r\n")
		pairs = append(pairs, encode(name)+"="+encode(value))
		fmt.Fprintf(&parts, "--%s\r\nContent-Disposition: form-data; name=%q", boundary, name)
		if in[1] == "file" {
			parts.WriteString("; filename=\"\"\r\nContent-Type: application/octet-stream")
		}
		fmt.Fprintf(&parts, "\r\n\r\n%s\r\n", value)
	}
	if form[1] != "" {
		return "multipart/form-data; boundary=" + boundary, parts.String() + "--" + boundary + "--\r\n"
	}
	return urlencoded, strings.Join(pairs, "&")
}

// encode is the URL standard's application/x-www-form-urlencoded percent-encode set.
func encode(s string) string {
	s = url.QueryEscape(s)
	return strings.ReplaceAll(strings.ReplaceAll(s, "%2A", "*"), "~", "%7E")
}

// A form whose session has ended is kept, and goes again byte for byte once somebody has signed in.
func TestAFormWhoseSessionHasEnded(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("n=1&", 1000), "&")
	long := "text=" + strings.Repeat("a", 256<<10-5)
	for _, row := range []struct{ with, media, body string }{
		{"fields", urlencoded, "title=Tea&text=two+lines%0D%0Aof+it&a=1&a=2&b=&csrf_token=x%2Fy%3D"},
		{"other fields than ASCII", urlencoded + "; charset=UTF-8", "n%C3%A4me=caf%C3%A9%F0%9F%8D%B5"},
		{"markup", urlencoded, "x=%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E%26amp%3B%26%2334%3B&%3C%22%27%3E=%27%22%60%2B"},
		{"names that mean something to a page", urlencoded, "submit=1&action=2&send=3&state=4&id=5&method=get&innerHTML=6&__proto__=7"},
		{"nothing", urlencoded, ""},
		{"as many fields as are kept", urlencoded, many},
		{"as much as is kept", urlencoded, long},
		{"parts", "multipart/form-data; boundary=XX", "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\ntwo\r\n--XX\r\nContent-Disposition: form-data; name=\"q%22\"\r\n\r\n<b>\"é\"</b>\r\n--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n\r\n--XX--\r\n"},
		{"no part", "multipart/form-data; boundary=XX", "--XX--\r\n"},
	} {
		w := rendered(newWorld(t, func(app *bff.App, _ *surface.LoginPolicy) { app.LaxCookie = true }))
		b := w.browser()
		b.signIn()
		w.advance(13 * time.Hour)
		a := b.post("/notes/new?from=list&x=%22", "same-origin", row.media, row.body).is(t, "a form with "+row.with, 401)
		if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self'") || !strings.Contains(policy, "frame-ancestors 'none'") ||
			!strings.Contains(policy, "connect-src 'self'") || strings.Contains(policy, "unsafe") || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "strict-origin" {
			t.Errorf("%s: %v", row.with, a.header)
		}
		if strings.Count(a.body, "<script") != 1 || strings.Count(a.body, "<form") != 1 {
			t.Errorf("%s: the page holds somebody else's markup: %s", row.with, a.body)
		}
		if !strings.Contains(a.body, `<a href="/bff/login?return_to=%2Fbff%2Fsigned-in" target="_blank" rel="noopener">`) {
			t.Fatalf("%s: no way to sign in: %.600s", row.with, a.body)
		}
		if end := (&window{browser: b, arrives: "cross-site"}).visit("/bff/login?return_to=%2Fbff%2Fsigned-in", "same-origin"); end.status != 200 || !strings.Contains(end.body, "<h1>Signed in</h1>") {
			t.Fatalf("%s: the other tab ends with %d %s", row.with, end.status, end.body)
		}
		media, body := again(t, a.body, "XX")
		got := b.post("/notes/new?from=list&x=%22", "same-origin", media, body).is(t, "sent again", 200)
		wantMedia := strings.TrimSuffix(row.media, "; charset=UTF-8")
		if diff := cmp.Diff("ann POST /notes/new?from=list&x=%22\n"+wantMedia+"\n"+row.body, got.body); diff != "" {
			t.Errorf("a form with %s came again as (-want +got):\n%s", row.with, diff)
		}
	}
}

// What cannot be kept whole is not kept at all: the page says why, and how the form may be had back.
func TestFormsThatCannotBeKept(t *testing.T) {
	part := func(header, value string) string {
		return "--XX\r\nContent-Disposition: form-data; " + header + "\r\n\r\n" + value + "\r\n--XX--\r\n"
	}
	for _, row := range []struct{ with, media, body, why string }{
		{"too many fields", urlencoded, strings.Repeat("n=1&", 1000) + "n=1", "too long"},
		{"a field that is too long", urlencoded, "text=" + strings.Repeat("a", 256<<10-4), "too long"},
		{"a file", "multipart/form-data; boundary=XX", part(`name="f"; filename="a.txt"`, "x"), "a file"},
		{"a file without a name", "multipart/form-data; boundary=XX", part(`name="f"; filename=""`, "x"), "a file"},
		{"a file by another spelling", "multipart/form-data; boundary=XX", part(`name="f"; filename*=UTF-8''a.txt`, "x"), "a file"},
		{"a part without a name", "multipart/form-data; boundary=XX", part(`nom="f"`, "x"), "of a kind"},
		{"parts that are cut off", "multipart/form-data; boundary=XX", "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx", "of a kind"},
		{"parts without a boundary", "multipart/form-data", part(`name="f"`, "x"), "of a kind"},
		{"plain text", "text/plain", "a=1\r\n", "of a kind"},
		{"JSON", "application/json", "{}", "of a kind"},
		{"no type", "", "a=1", "of a kind"},
		{"a zero byte", urlencoded, "a=%00", "of a kind"},
		{"another encoding", urlencoded, "a=%E9", "of a kind"},
		{"a bad escape", urlencoded, "a=%zz", "of a kind"},
		{"a field without a value", urlencoded, "a", "of a kind"},
		{"a field without a name", urlencoded, "=1", "of a kind"},
	} {
		w := rendered(newWorld(t))
		a := w.browser().post("/notes/new", "same-origin", row.media, row.body).is(t, "a form with "+row.with, 401)
		if strings.Contains(a.body, "<form") || strings.Contains(a.body, "<input") || !strings.Contains(a.body, "because it ") || !strings.Contains(a.body, row.why) || !strings.Contains(a.body, `target="_blank"`) {
			t.Errorf("a form with %s: %.900s", row.with, a.body)
		}
	}
}

// A form that does not say how long it is, is counted.
func TestALongFormOfNoLength(t *testing.T) {
	w := rendered(newWorld(t))
	for bytes, kept := range map[int]bool{256 << 10: true, 256<<10 + 1: false} {
		r := httptest.NewRequest("POST", "/notes", io.MultiReader(strings.NewReader("text="), strings.NewReader(strings.Repeat("a", bytes-5))))
		for i, f := 0, nav("same-origin"); i < len(f); i += 2 {
			r.Header.Set(f[i], f[i+1])
		}
		r.Header.Set("Content-Type", urlencoded)
		rec := httptest.NewRecorder()
		if _, err := w.surface.AdmitPage(rec, r); err != nil || rec.Code != 401 || strings.Contains(rec.Body.String(), "<form") != kept {
			t.Errorf("%d bytes: %v %d %.300s", bytes, err, rec.Code, rec.Body)
		}
	}
}

// A form without a session is not read before its guard has passed, nor is one of a fetch.
func TestWhatIsNotReadOfAForm(t *testing.T) {
	w := rendered(newWorld(t))
	for with, fields := range map[string][]string{
		"another site":  nav("cross-site"),
		"a fetch":       {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
		"no page known": {"Accept", "text/html"},
	} {
		body := &watchedBody{Reader: strings.NewReader("a=1")}
		r := httptest.NewRequest("POST", "/notes", body)
		r.Header.Set("Content-Type", urlencoded)
		for i := 0; i < len(fields); i += 2 {
			r.Header.Set(fields[i], fields[i+1])
		}
		session, err := w.surface.AdmitPage(httptest.NewRecorder(), r)
		if session != nil || err == nil || body.read {
			t.Errorf("a form from %s: %v %v, read: %v", with, session, err, body.read)
		}
	}
	if !slices.Contains(w.events, "guard: origin of a form") {
		t.Errorf("no forged form was noticed: %v", w.events)
	}
}

type watchedBody struct {
	io.Reader
	read bool
}

func (b *watchedBody) Read(p []byte) (int, error) { b.read = true; return b.Reader.Read(p) }

// A form that breaks off is nobody's: half of it must not pass for the whole.
func TestAFormThatBreaksOff(t *testing.T) {
	w := rendered(newWorld(t))
	r := httptest.NewRequest("POST", "/notes", io.MultiReader(strings.NewReader("a=1&b="), brokenOff{}))
	for i, f := 0, nav("same-origin"); i < len(f); i += 2 {
		r.Header.Set(f[i], f[i+1])
	}
	r.Header.Set("Content-Type", urlencoded)
	rec := httptest.NewRecorder()
	if _, err := w.surface.AdmitPage(rec, r); bff.CodeOf(err) != bff.CodeBadRequest || rec.Body.Len() > 0 {
		t.Errorf("%v, and was answered %q", err, rec.Body)
	}
}

type brokenOff struct{}

func (brokenOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Pages that anybody may see know their user, and nobody else's request as theirs.
//
// shows CSRF-1 (server-rendered apps: user-or-none)
func TestGuestsOfASite(t *testing.T) {
	for _, row := range []struct{ by, method, site, who, want string }{
		{"somebody", "GET", "none", "ann", "ann GET"},
		{"somebody from elsewhere", "GET", "cross-site", "ann", "ann GET"},
		{"somebody's form", "POST", "same-origin", "ann", "ann POST"},
		{"a forged form", "POST", "cross-site", "ann", "bare POST"},
		{"a sibling's form", "POST", "same-site", "ann", "bare POST"},
		{"nobody", "GET", "none", "", "nobody GET"},
		{"nobody's form", "POST", "same-origin", "", "nobody POST"},
	} {
		w := rendered(newWorld(t, func(app *bff.App, _ *surface.LoginPolicy) { app.LaxCookie = true }))
		b := w.browser()
		if row.who != "" {
			b.signIn()
		}
		if a := b.send(row.method, "/open/x", nav(row.site)...); !strings.HasPrefix(a.body, row.want) {
			t.Errorf("%s: %d %s", row.by, a.status, a.body)
		}
	}
	w := rendered(newWorld(t))
	b := w.browser()
	b.signIn()
	w.store.setDown(true)
	if a := b.open("/open/x", "none"); a.status != 503 {
		t.Errorf("somebody in an outage is %d %s", a.status, a.body)
	}
	w.store.setDown(false)
	w.advance(13 * time.Hour)
	if a := b.open("/open/x", "none"); !strings.HasPrefix(a.body, "nobody GET") || b.value(sessionCookie) != "" {
		t.Errorf("a session that ended: %s", a.body)
	}
}

// A session that ends after it was admitted, by its refresh for one, is told as one that had ended before.
func TestAPageWhoseSessionEndsMeanwhile(t *testing.T) {
	w := newWorld(t)
	over := &bff.Error{Code: bff.CodeSessionEnded, Message: "Over.", Reason: string(bff.ReasonRefreshRejected)}
	for _, row := range []struct {
		kind, method string
		fields       []string
		err          error
		status       int // 0: the error comes back
	}{
		{"a visit", "GET", nav("none"), over, 303},
		{"a form", "POST", nav("same-origin"), over, 401},
		{"a fetch", "GET", fetched(), over, 0},
		{"a visit in an outage", "GET", nav("none"), &bff.Error{Code: bff.CodeStoreUnavailable}, 0},
	} {
		r := httptest.NewRequest(row.method, "/notes", strings.NewReader("a=1"))
		r.Header.Set("Content-Type", urlencoded)
		r.Header.Set("Cookie", sessionCookie+"="+bff.NewRoot().Reveal())
		for i := 0; i < len(row.fields); i += 2 {
			r.Header.Set(row.fields[i], row.fields[i+1])
		}
		rec := httptest.NewRecorder()
		err := w.surface.PageEnded(rec, r, row.err)
		cleared := strings.Contains(strings.Join(rec.Header()["Set-Cookie"], ""), "Max-Age=0")
		if (err == nil) != (row.status != 0) || err == nil && rec.Code != row.status || cleared != (row.err == error(over)) {
			t.Errorf("%s: %v, %d, cookie cleared: %v", row.kind, err, rec.Code, cleared)
		}
	}
}

// The tab in which somebody signed in says what became of that, and sends nobody in circles.
func TestTheOtherTab(t *testing.T) {
	const start = "/bff/login?return_to=%2Fbff%2Fsigned-in"
	for _, lax := range []bool{true, false} {
		w := newWorld(t, func(app *bff.App, _ *surface.LoginPolicy) { app.LaxCookie = lax })
		v := &window{browser: w.browser(), arrives: "cross-site", refuses: true}
		if a := v.visit(start, "same-origin"); a.status != 403 || !strings.Contains(a.body, "login_refused") || !strings.Contains(a.body, html.EscapeString(start)) {
			t.Errorf("lax %v, refused: %d %s", lax, a.status, a.body)
		}
		if v.visit("/bff/signed-in", "none").is(t, "nobody in the other tab", 401); len(v.came) != 1 {
			t.Errorf("%v", v.came)
		}
		v.refuses = false
		if a := v.visit(start, "same-origin"); a.status != 200 || !strings.Contains(a.body, "<h1>Signed in</h1>") {
			t.Errorf("lax %v: %d %s", lax, a.status, a.body)
		}
		for _, bad := range []string{"/bff/signed-in/x", "/bff/signed-in%2f..%2flogout", "/BFF/../bff/landed", "/bff/signed-in/../logout", "/bff/%73igned-in"} {
			v.send("GET", "/bff/login?return_to="+url.QueryEscape(bad), typed()...).is(t, bad, 400)
		}
	}
}
