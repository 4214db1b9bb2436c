package spa_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom/bff"
	"cloakroom/surface"
)

// www is another origin of the app's site, where its pages stand; other is one more, at a port of its own.
const (
	www   = "https://www.app.example"
	other = "https://www.app.example:8443"
)

// split is an app whose pages stand at other origins. Its cookie is Lax only so that it comes along wherever a request of
// these tests says that it is from.
func split(a *bff.App, _ *surface.LoginPolicy) {
	a.LaxCookie, a.AllowedOrigins = true, []string{www, other}
}

// notListed are origins that look like a listed one, or like none.
var notListed = []string{
	"null", "*", "https://app.example", "https://docs.app.example", "https://evil.example", "http://www.app.example",
	"https://www.app.example:443", "https://www.app.example:8444", "https://www.app.example.", "https://www.app.example/",
	"https://www.app.example.evil", "https://evilwww.app.example", "https://x.www.app.example", "https://WWW.app.example",
	"HTTPS://www.app.example", "https://user@www.app.example", "https://www.app.example@evil.example", "wss://www.app.example",
	"https://www.app.example, https://www.app.example", "https://www.app.example https://evil.example", "https://www.app.example\t;", "//www.app.example", "www.app.example",
}

// shows CSRF-1, CSRF-2, CSRF-3, WS-1 (a listed origin)
func TestGuardsOfListedOrigins(t *testing.T) {
	same, sibling, cross := []string{"Sec-Fetch-Site", "same-origin"}, []string{"Sec-Fetch-Site", "same-site"}, []string{"Sec-Fetch-Site", "cross-site"}
	header, listed := []string{"X-CSRF", "1"}, []string{"Origin", www}
	cors, noCORS := []string{"Sec-Fetch-Mode", "cors"}, []string{"Sec-Fetch-Mode", "no-cors"}
	with := func(parts ...[]string) []string { return slices.Concat(parts...) }
	w := newWorld(t, split)
	b := w.browser()
	b.signIn()
	for _, row := range []struct {
		method, path string
		with         string // a request of a page at the listed origin with …
		fields       []string
		status       int
	}{
		{"GET", "/api", "header and metadata", with(header, listed, sibling, cors), 200},
		{"POST", "/api", "header and metadata", with(header, listed, sibling, cors), 200},
		{"DELETE", "/api", "header, no metadata", with(header, listed), 200},
		{"POST", "/api", "another listed origin", with(header, sibling, []string{"Origin", other}), 200},
		{"GET", "/api", "no header", with(listed, sibling, cors), 403},
		{"POST", "/api", "no header", with(listed, sibling, cors), 403},
		{"POST", "/api?X-CSRF=1", "the header in the query", with(listed, sibling, cors), 403},
		{"POST", "/api", "no Origin", with(header, sibling, cors), 403},
		{"GET", "/api", "no Origin", with(header, sibling, cors), 403},
		{"POST", "/api", "a Referer in place of the Origin", with(header, sibling, []string{"Referer", www + "/"}), 403},
		{"POST", "/api", "its Origin twice", with(header, sibling, listed, listed), 403},
		{"POST", "/api", "its Origin beside the app's own", with(header, sibling, listed, []string{"Origin", origin}), 403},
		{"POST", "/api", "metadata of another site", with(header, listed, cross), 403},
		{"POST", "/api", "metadata of no page", with(header, listed, []string{"Sec-Fetch-Site", "none"}), 403},
		{"POST", "/api", "metadata that stands twice", with(header, listed, sibling, sibling), 403},
		{"GET", "/api", "the destination of a script", with(header, listed, sibling, []string{"Sec-Fetch-Dest", "script"}), 403},
		{"GET", "/api", "a service worker's script", with(header, listed, sibling, []string{"Service-Worker", "script"}), 403},
		{"GET", "/bff/session", "header and metadata", with(header, listed, sibling), 200},
		{"GET", "/bff/session", "no header", with(listed, sibling), 403},
		{"GET", "/bff/sessions", "header and metadata", with(header, listed, sibling), 200},
		{"POST", "/bff/session/extend", "header and metadata", with(header, listed, sibling), 200},
		{"POST", "/bff/session/extend", "no header", with(listed, sibling), 403},

		{"GET", "/file", "CORS", with(listed, sibling, cors), 200},
		{"HEAD", "/file", "CORS, no metadata", listed, 200},
		{"GET", "/file", "an image that asks without CORS", with(sibling, noCORS, []string{"Sec-Fetch-Dest", "image"}), 403},
		{"GET", "/file", "an Origin and another mode", with(listed, sibling, noCORS), 403},
		{"GET", "/file", "a link", append(nav("same-site"), "Referer", www+"/"), 403},
		{"GET", "/file", "a link, and an Origin", append(nav("same-site"), listed...), 403},
		{"GET", "/file", "its Referer alone", []string{"Referer", www + "/"}, 403},
		{"GET", "/file", "metadata of another site", with(listed, cross, cors), 403},
		{"POST", "/file", "header and CORS", with(header, listed, sibling, cors), 403},

		{"GET", "/socket", "its Origin", listed, 200},
		{"GET", "/socket", "its Origin and metadata", with(listed, sibling), 200},
		{"GET", "/socket", "metadata of another site", with(listed, cross), 403},
		{"GET", "/socket", "metadata of the app's own pages", with(listed, same), 403},
		{"GET", "/socket", "no Origin", sibling, 403},

		{"POST", "/site", "a form", append(nav("same-site"), listed...), 403},
		{"POST", "/site", "a form, no metadata", listed, 403},
		{"GET", "/site", "a picture", with(listed, sibling, noCORS, []string{"Sec-Fetch-Dest", "image"}), 403},
		{"GET", "/site", "a frame", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403},
		{"POST", "/bff/logout", "a form", append(nav("same-site"), "Origin", www, "Content-Type", "application/x-www-form-urlencoded"), 403},
		{"POST", "/bff/logout", "no header", with(listed, sibling, cors), 403},
		{"GET", "/none", "everything, at a route that names no guard", with(header, listed, sibling, cors), 403},
	} {
		b.send(row.method, row.path, row.fields...).is(t, row.method+" "+row.path+" with "+row.with, row.status)
	}
	for _, from := range notListed {
		if from == origin { // the app's own passes where there is no metadata
			continue
		}
		fields := with(header, cors, []string{"Origin", from})
		for path, status := range map[string]int{"/api": 403, "/file": 403, "/socket": 403, "/bff/session": 403} {
			b.send("GET", path, fields...).is(t, path+" of "+from, status)
			b.send("GET", path, with(fields, sibling)...).is(t, path+" of the sibling "+from, status)
		}
	}
	if b.value(sessionCookie) == "" {
		t.Error("the session's cookie is gone")
	}
}

// Refused or not shows without a stream that stays open where it is not: nobody waits for what the test is about.
//
// shows CSRF-3 (a listed origin)
func TestEventsOfAListedOrigin(t *testing.T) {
	w := newWorld(t, split)
	b := w.browser()
	b.signIn()
	events := slices.IndexFunc(w.surface.Endpoints(), func(e surface.Endpoint) bool { return e.Path == "/bff/events" })
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, row := range []struct {
		with   string // a stream with …
		fields []string
		want   bff.Code
	}{
		{"CORS", []string{"Origin", www, "Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors"}, ""},
		{"its Origin alone", []string{"Origin", www}, ""},
		{"metadata of another site", []string{"Origin", www, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"}, bff.CodeCSRFFailed},
		{"an unlisted sibling's Origin", []string{"Origin", "https://docs.app.example", "Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors"}, bff.CodeCSRFFailed},
		{"no Origin", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors"}, bff.CodeCSRFFailed},
	} {
		r := httptest.NewRequest("GET", origin+"/bff/events", nil).WithContext(gone)
		r.Header.Set("Cookie", b.header(false))
		for i := 0; i+1 < len(row.fields); i += 2 {
			r.Header.Add(row.fields[i], row.fields[i+1])
		}
		if err := w.surface.Endpoints()[events].Handle(httptest.NewRecorder(), r); (err != nil || row.want != "") && bff.CodeOf(err) != row.want {
			t.Errorf("with %s: %v, want %q", row.with, err, row.want)
		}
	}
}

// share asks Share alone, as the server does, of an address that takes GET and POST.
func (w *world) share(method string, fields ...string) (*httptest.ResponseRecorder, bool, error) {
	r := httptest.NewRequest(method, origin+"/api", nil)
	for i := 0; i+1 < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	rw := httptest.NewRecorder()
	answered, err := w.surface.Share(rw, r, []string{"GET", "POST"})
	return rw, answered, err
}

// corsOf are the fields of an answer that are for other origins.
func corsOf(h http.Header) map[string]string {
	found := map[string]string{}
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") && name != "Access-Control-Expose-Headers" {
			found[name] = strings.Join(h[name], " | ")
		}
	}
	return found
}

// shows CORS-1, CORS-2 (a listed origin)
func TestWhoseScriptsMayReadAnAnswer(t *testing.T) {
	w := newWorld(t, split)
	readable := map[string]string{"Access-Control-Allow-Origin": www, "Access-Control-Allow-Credentials": "true"}
	type row struct {
		with   string // an answer to a request with …
		fields []string
		want   map[string]string
	}
	rows := []row{
		{"a listed Origin", []string{"Origin", www}, readable},
		{"a listed Origin and its metadata", []string{"Origin", www, "Sec-Fetch-Site", "same-site"}, readable},
		{"a listed Origin and metadata of another site", []string{"Origin", www, "Sec-Fetch-Site", "cross-site"}, nil},
		{"a listed Origin and metadata of the app's own pages", []string{"Origin", www, "Sec-Fetch-Site", "same-origin"}, nil},
		{"a listed Origin twice", []string{"Origin", www, "Origin", www}, nil},
		{"two listed Origins", []string{"Origin", www, "Origin", other}, nil},
		{"no Origin", nil, nil},
		{"a Referer of a listed origin", []string{"Referer", www + "/"}, nil},
	}
	for _, from := range notListed {
		rows = append(rows, row{"Origin " + from, []string{"Origin", from, "Sec-Fetch-Site", "same-site"}, nil}, row{"Origin alone " + from, []string{"Origin", from}, nil})
	}
	for _, row := range rows {
		rw, answered, err := w.share("GET", row.fields...)
		if diff := cmp.Diff(row.want, corsOf(rw.Header())); answered || err != nil || diff != "" && len(row.want)+len(corsOf(rw.Header())) > 0 {
			t.Errorf("with %s: answered %t, %v\n%s", row.with, answered, err, diff)
		}
		if got := rw.Header().Get("Vary"); got != "Origin" {
			t.Errorf("with %s: Vary %q", row.with, got)
		}
		if exposes := rw.Header().Get("Access-Control-Expose-Headers"); (exposes != "") != (row.want != nil) || strings.Contains(exposes, "*") {
			t.Errorf("with %s: exposes %q", row.with, exposes)
		}
		preflight := append([]string{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "x-csrf"}, row.fields...)
		rw, answered, err = w.share("OPTIONS", preflight...)
		switch {
		case row.want != nil && (!answered || err != nil || rw.Code != 204 || rw.Body.Len() > 0):
			t.Errorf("a preflight with %s: answered %t %d, %v", row.with, answered, rw.Code, err)
		case row.want == nil && (answered || len(corsOf(rw.Header())) > 0 || len(row.fields) > 0 && row.fields[0] == "Origin" && bff.CodeOf(err) != bff.CodeCSRFFailed):
			t.Errorf("a preflight with %s: answered %t, %v, %v", row.with, answered, err, rw.Header())
		}
	}
	if w.store.calls() != 0 {
		t.Error("the store was asked")
	}
}

// shows CORS-2 (a listed origin)
func TestWhatAPreflightIsTold(t *testing.T) {
	w := newWorld(t, split)
	for _, row := range []struct {
		with         string // a preflight with …
		method, asks string
		want         string // fields that may be sent
	}{
		{"the fields of a call", "POST", "content-type,x-csrf", "content-type, x-csrf"},
		{"spaces and capitals", "GET", " X-CSRF ,\tX-Background", "x-csrf, x-background"},
		{"no field", "GET", "", ""},
		{"a method that is none of the address's", "DELETE", "x-csrf", "x-csrf"},
		{"a method that nobody knows", "SMUGGLE\x7f", "x-csrf", "x-csrf"},
		{"every field", "POST", "*", ""},
		{"fields that no script can set", "POST", "cookie,host,origin,referer,sec-fetch-site,proxy-authorization,content-length,x-csrf", "x-csrf"},
		{"each of those that Fetch forbids", "POST", "accept-charset,accept-encoding,access-control-request-headers,access-control-request-method,connection,content-length,cookie,cookie2," +
			"date,dnt,expect,host,keep-alive,origin,referer,set-cookie,te,trailer,transfer-encoding,upgrade,via,proxy-x,sec-x,forwarded", ""},
		{"every character of a token", "POST", "az-09-AZ!#$%&'*+-.^_`|~", "az-09-az!#$%&'*+-.^_`|~"},
		{"fields that override the method", "POST", "x-http-method-override,x-method-override,x-http-method", ""},
		{"a credential of its own", "POST", "authorization,x-csrf", "x-csrf"},
		{"odd bytes", "POST", "x\tb,x:y,x\xffy,x y,,x\"y,(x),x-csrf", "x-csrf"},
		{"a field of another answer", "POST", "x-csrf;Access-Control-Allow-Origin: *", ""},
	} {
		rw, answered, err := w.share("OPTIONS", "Origin", www, "Access-Control-Request-Method", row.method, "Access-Control-Request-Headers", row.asks)
		if !answered || err != nil {
			t.Fatalf("with %s: answered %t, %v", row.with, answered, err)
		}
		want := map[string]string{
			"Access-Control-Allow-Origin": www, "Access-Control-Allow-Credentials": "true",
			"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Max-Age": "600",
		}
		if row.want != "" {
			want["Access-Control-Allow-Headers"] = row.want
		}
		if diff := cmp.Diff(want, corsOf(rw.Header())); diff != "" {
			t.Errorf("with %s: %s", row.with, diff)
		}
		if kept := rw.Header().Get("Cache-Control"); kept != "no-store" {
			t.Errorf("with %s: Cache-Control %q", row.with, kept)
		}
		vary := strings.Join(rw.Header().Values("Vary"), ", ")
		for _, name := range []string{"Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"} {
			if !strings.Contains(vary, name) {
				t.Errorf("with %s: Vary %q", row.with, vary)
			}
		}
	}
	rw, _, _ := w.share("OPTIONS", "Origin", www, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", strings.Repeat("x,", 1000))
	if n := strings.Count(rw.Header().Get("Access-Control-Allow-Headers"), "x"); n != 64 {
		t.Errorf("%d of 1000 fields told", n)
	}
	for _, none := range [][]string{
		{"OPTIONS", "Origin", www},
		{"OPTIONS", "Access-Control-Request-Method", "POST"},
		{"POST", "Origin", www, "Access-Control-Request-Method", "POST"},
		{"GET", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"},
	} { // a browser's preflight is all three; what is less is the address's to answer
		if _, answered, err := w.share(none[0], none[1:]...); answered || err != nil {
			t.Errorf("%v, which is no preflight: answered %t, %v", none, answered, err)
		}
	}
}

// An address is shared or not by a fixed list; nothing is where a sign-in or a sign-out is opened.
func TestWhichEndpointsAreShared(t *testing.T) {
	var shared []string
	for _, e := range newWorld(t, split).surface.Endpoints() {
		if e.Shared {
			shared = append(shared, e.Method+" "+e.Path)
		}
	}
	slices.Sort(shared)
	want := []string{
		"DELETE /bff/sessions", "DELETE /bff/sessions/{id}", "GET /bff/events", "GET /bff/session", "GET /bff/sessions",
		"POST /bff/logout", "POST /bff/session/extend",
	}
	if diff := cmp.Diff(want, shared); diff != "" {
		t.Error(diff)
	}
}

// shows RET-1, LOGIN-CSRF (a listed origin)
func TestASignInFromAnotherOrigin(t *testing.T) {
	for _, strict := range []bool{true, false} {
		w := newWorld(t, split, func(a *bff.App, _ *surface.LoginPolicy) { a.LaxCookie = !strict })
		b := w.browser()
		// The page's own navigation: no Origin, and a Referer cut to its origin.
		a := b.send("GET", "/bff/login?return_to=https%3A%2F%2Fwww.app.example%2Forders%3Fx%3D1%23part", append(nav("same-site"), "Referer", www+"/")...)
		a.is(t, "a start by a listed origin", 303)
		back := b.come("code=c1&state=" + w.param(a.location(), "state"))
		if strict {
			landed := "/bff/landed?return_to=https%3A%2F%2Fwww.app.example%2Forders%3Fx%3D1%23part"
			if back.is(t, "the callback", 200); !strings.Contains(back.body, strings.ReplaceAll(landed, "&", "&amp;")) {
				t.Errorf("the page does not move on to %s: %s", landed, back.body)
			}
			back = b.open(landed, "same-origin")
		}
		if back.is(t, "the way back", 303); back.location() != www+"/orders?x=1#part" {
			t.Errorf("back at %q", back.location())
		}
	}
}

// shows LOGIN-CSRF (a listed origin)
func TestWhoMayStartALoginBesideTheApp(t *testing.T) {
	for _, row := range []struct {
		with   string // a start with …
		fields []string
		status int
	}{
		{"a link of a listed origin", append(nav("same-site"), "Referer", www+"/"), 303},
		{"a link of a listed origin that hides where it is from", nav("same-site"), 200},
		{"a link of an unlisted sibling", append(nav("same-site"), "Referer", "https://docs.app.example/"), 200},
		{"a link of what begins like a listed origin", append(nav("same-site"), "Referer", www+".evil/"), 200},
		{"a link of what names a listed origin as a user", append(nav("same-site"), "Referer", "https://www.app.example@evil.example/"), 200},
		{"a link by way of another site", append(nav("cross-site"), "Referer", www+"/"), 200},
		{"a fetch of a listed origin", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Origin", www, "X-CSRF", "1"}, 403},
		{"a frame of a listed origin", []string{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe", "Referer", www + "/"}, 403},
	} {
		w := newWorld(t, split)
		w.browser().send("GET", "/bff/login", row.fields...).is(t, "a start with "+row.with, row.status)
		// The same judge stands before the provider's sign-out, but for frames and fetches, which never get so far.
		if row.status != 403 {
			want := map[int]int{303: 410, 200: 200}[row.status] // 410: it was looked for, and there is none
			w.browser().send("GET", "/bff/logout/made-up", row.fields...).is(t, "a ticket with "+row.with, want)
		}
	}
}

// shows RET-1 (a listed origin)
func TestReturnTargetsAtAnotherOrigin(t *testing.T) {
	w := newWorld(t, split)
	for raw, status := range map[string]int{
		www + "/": 303, www: 303, other + "/x": 303, "/x": 303,
		www + ".evil/": 400, www + "@evil/": 400, www + ":443/": 400, www + "//evil": 400, www + "/%5cevil": 400, www + "/%252fevil": 400,
		"http://www.app.example/": 400, "//www.app.example/": 400, "https://docs.app.example/": 400,
		www + "/bff/login": 400, www + "/x/../%62ff/logout": 400, "javascript://www.app.example/": 400,
	} {
		b := w.browser()
		a := b.send("GET", "/bff/login?return_to="+strings.ReplaceAll(raw, "%", "%25"), typed()...)
		a.is(t, "a return to "+raw, status)
		if status == 400 && (strings.Contains(a.body, "evil") || b.flows() > 0) {
			t.Errorf("%s: reflected, or begun: %s", raw, a.body)
		}
		// Nor may the last step be talked into it: what is no target leads to where logins go that name none.
		b.signIn()
		landed := b.open("/bff/landed?return_to="+strings.ReplaceAll(raw, "%", "%25"), "same-origin").location()
		if status == 400 && landed != "/" || status == 303 && strings.TrimSuffix(landed, "/") != strings.TrimSuffix(raw, "/") {
			t.Errorf("%s: landed at %q", raw, landed)
		}
	}
}

// A sign-in that was refused, one that names no way back, and a sign-out lead to the app's pages, too.
func TestOtherWaysBackToAnotherOrigin(t *testing.T) {
	w := newWorld(t, split, func(a *bff.App, _ *surface.LoginPolicy) {
		a.DefaultReturn, a.PostLogoutReturn = www+"/home", www+"/goodbye"
	})
	b := w.browser()
	refused := b.come("error=access_denied&state=" + b.begin("?return_to="+www+"/orders%3Fx%3D1"))
	if refused.is(t, "a sign-in that was refused", 303); refused.location() != www+"/orders?x=1&login_error=access_denied#" {
		t.Errorf("refused at %q", refused.location())
	}
	silent := b.come("error=login_required&state=" + b.begin("?prompt=none"))
	if silent.location() != www+"/home?login_error=login_required#" {
		t.Errorf("a silent one came to %q", silent.location())
	}
	home := b.come("code=c1&state=" + b.begin(""))
	if home.location() != www+"/home#" {
		t.Errorf("a sign-in that names nothing came to %q", home.location())
	}
	page := b.open("/bff/login", "cross-site")
	if page.is(t, "a foreign start", 200); !strings.Contains(page.body, `href="`+www+`/home"`) {
		t.Errorf("its page has no way back to the app: %s", page.body)
	}
	left := b.send("POST", "/bff/logout", "Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors", "Origin", www, "X-CSRF", "1")
	if left.is(t, "a sign-out", 200); !strings.Contains(left.body, `{"redirect_to":"`+origin+`/bff/logout/`) {
		t.Fatalf("a sign-out: %s", left.body)
	}
	_, ticket, _ := strings.Cut(strings.TrimSuffix(left.body, `"}`), origin)
	on := b.send("GET", ticket, append(nav("same-site"), "Referer", www+"/")...)
	if on.is(t, "the provider's sign-out", 303); !strings.HasPrefix(on.location(), issuer+"/end?") {
		t.Fatalf("the provider's sign-out: %q", on.location())
	}
	bye := b.open("/bff/logged-out?state="+w.param(on.location(), "state"), "cross-site")
	if bye.is(t, "the way back", 303); bye.location() != www+"/goodbye#" {
		t.Errorf("after the sign-out at %q", bye.location())
	}
}

// A third party may name a page of the app at its other origin, and no other.
func TestAnInitiationForAnotherOrigin(t *testing.T) {
	w := newWorld(t, split)
	for target, status := range map[string]int{www + "/a": 200, origin + "/a": 200, "https://docs.app.example/a": 400, www + ".evil/a": 400} {
		w.browser().open("/bff/initiate?iss="+issuer+"&target_link_uri="+target, "cross-site").is(t, "target "+target, status)
	}
}

// Neither who lists other origins nor who lists none pays with memory for being asked where a request comes from.
func TestAskingForTheOriginAllocatesNothing(t *testing.T) {
	for name, w := range map[string]*world{"no other origin": newWorld(t), "other origins": newWorld(t, split)} {
		r := httptest.NewRequest("GET", origin+"/socket", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		var err error
		if n := testing.AllocsPerRun(100, func() { err = w.surface.CheckWebSocket(r) }); n > 0 || err != nil {
			t.Errorf("an app with %s: %v allocations, %v", name, n, err)
		}
	}
}
