package openapi_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"cloakroom/dev/provider"
	"cloakroom/surface"
	"cloakroom/test/prover"
)

// Every answer that is described is given, as it is described; and of all that was asked nothing was answered otherwise.
func TestEveryDescribedAnswerIsReal(t *testing.T) {
	w := newTour(t)
	for _, leg := range []func(){
		w.documents, w.signInByBrowser, w.browserSessions, w.signOutByBrowser, w.signInByApp, w.nativeSessions, w.signOutByApp,
		w.boundHandles, w.provider, w.operator, w.administrator, w.routes, w.refusals, w.floods, w.outage, w.drain,
	} {
		w.newUser()
		leg()
	}
	for _, what := range w.missing() {
		t.Errorf("described, and not seen: %s", what)
	}
	w.unreferenced()
}

func (w *tour) documents() {
	for _, path := range []string{
		gw + "/.well-known/oauth-authorization-server/mobile", gw + "/mobile/.well-known/openid-configuration", gw + "/mobile/jwks", gw + "/mobile/jwks/phone",
		gw + "/.well-known/apple-app-site-association", gw + "/.well-known/assetlinks.json", gw + "/openapi.json", web + "/.well-known/jwks.json",
		web + "/healthz", gw + "/healthz", ops + "/healthz",
	} {
		w.see(200, same(get(path)))
	}
	for _, path := range []string{"/.well-known/apple-app-site-association", "/.well-known/assetlinks.json", "/mobile/jwks/web", "/mobile/frontchannel-logout"} {
		w.see(404, same(get(plain+path)))
	}
}

func (w *tour) signInByBrowser() {
	w.see(200, same(get(web+"/bff/login", "Sec-Fetch-Site", "cross-site")))
	w.see(400, same(get(web+"/bff/login?return_to=https://evil.example")))
	w.see(503, same(get(lost+"/bff/login")))
	w.begin(newPerson(), web, "prompt=login&max_age=0&ui_locales=de+en&return_to=/")

	p := w.signIn(web, 200)
	w.signIn(pages, 303)
	w.see(400, same(get(web+"/bff/callback?code=c&state=unknown")))
	w.see(303, func() call { // what the app can act on comes back to it
		p := newPerson()
		return get(web + "/bff/callback?error=access_denied&" + w.state(p, web)).of(p)
	})
	w.see(403, func() call {
		p := newPerson()
		return get(web + "/bff/callback?error=who_knows&" + w.state(p, web)).of(p)
	})
	w.see(502, func() call {
		p := newPerson()
		return get(web + "/bff/callback?error=server_error&" + w.state(p, web)).of(p)
	})

	w.see(303, same(get(web+"/bff/landed?return_to=/orders").of(p)))
	w.see(400, same(get(web+"/bff/landed")))
	w.see(401, same(get(web+"/bff/landed", "Cookie", "__Host-Http-web="+nobody)))
	w.see(200, same(get(web+"/bff/signed-in").of(p)))
	w.see(401, same(get(web+"/bff/signed-in")))
	w.see(403, same(get(web+"/bff/signed-in?login_error=access_denied")))

	w.see(200, same(get(web+"/bff/initiate?iss="+url.QueryEscape(w.issuer.Issuer())+"&target_link_uri=/orders")))
	w.see(400, same(get(web+"/bff/initiate?iss=https://other.example")))
	w.see(400, same(get(web+"/bff/initiate?bff_step=again")))
	w.see(404, same(get(pages+"/bff/initiate")))
	w.see(303, same(get(web+"/bff/initiate?bff_step=again", "Cookie", "__Host-Http-web.in=0")))
	w.see(508, same(get(web+"/bff/initiate?bff_step=again", "Cookie", "__Host-Http-web.in=4")))
	w.see(503, same(get(lost+"/bff/initiate?bff_step=again", "Cookie", "__Host-Http-lost.in=0")))
}

func (w *tour) browserSessions() {
	p := w.signIn(web, 200)
	w.see(200, same(script("GET", web+"/bff/session", p)))
	w.see(200, same(script("GET", web+"/bff/session", nil)))
	w.see(200, same(script("POST", web+"/bff/session/extend", p)))
	w.see(200, same(script("GET", web+"/bff/sessions", p)))
	w.see(204, same(script("DELETE", web+"/bff/sessions", p)))
	w.newUser()
	p = w.signIn(web, 200)
	w.see(404, same(script("DELETE", web+"/bff/sessions/"+nobody[:22], p)))
	other := w.id(w.signIn(web, 200))
	w.see(204, same(script("DELETE", web+"/bff/sessions/"+other, p)))
	q := w.signIn(web, 200)
	w.follow(script("GET", web+"/bff/events", q),
		func() { w.see(200, same(script("POST", web+"/bff/session/extend", q))) },
		func() { w.see(200, same(script("POST", web+"/bff/logout", q))) })
	q = w.signIn(web, 200)
	w.follow(script("GET", web+"/bff/events", q), func() { // the same browser signs in anew
		w.see(200, same(get(w.begin(q, web, "login_hint="+w.user()).String()).of(q)))
	})
	w.see(200, same(script("DELETE", web+"/bff/sessions/"+w.id(p), p)))
	w.see(401, same(script("DELETE", web+"/bff/sessions/"+other, p)))
	w.ended()
}

// ended shows that of a session that was ended it is told once why.
func (w *tour) ended() {
	p := w.signIn(web, 200)
	held := newPerson()
	held.keep("web.localhost", []*http.Cookie{{Name: "__Host-Http-web", Value: p.cookies["web.localhost"]["__Host-Http-web"]}})
	w.see(200, same(script("POST", web+"/bff/logout", p)))
	w.see(401, same(script("POST", web+"/bff/session/extend", held)))
}

func (w *tour) signOutByBrowser() {
	out := func() (*person, string) { // signs out, and returns the one-time address
		p := w.signIn(web, 200)
		to, _ := w.see(200, same(script("POST", web+"/bff/logout", p))).members()["redirect_to"].(string)
		return p, to
	}
	p, to := out()
	w.see(200, same(get(to, "Sec-Fetch-Site", "cross-site").of(p)))
	leaving := w.see(303, same(get(to).of(p)))
	w.see(410, same(get(to).of(p)))
	w.see(303, same(get(web+"/bff/logged-out?state="+leaving.to().Query().Get("state")).of(p)))
	w.see(200, same(get(web+"/bff/logged-out")))

	p = w.signIn(web, 200)
	form := post(web+"/bff/logout", nil, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "same-origin").of(p)
	w.see(303, same(form))
	p = w.signIn(web, 200)
	link, _ := w.see(200, same(script("GET", web+"/bff/session", p))).members()["logout_url"].(string)
	w.see(303, same(get(web+link).of(p)))
}

func (w *tour) signInByApp() {
	w.see(400, same(get(gw+"/mobile/authorize?client_id=nobody")))
	w.see(303, same(get(gw+"/mobile/authorize?"+w.request("phone", claimed, "response_type", "token").Encode())))
	w.see(400, same(get(gw+"/mobile/callback/phone?code=c&state=unknown")))
	w.see(404, same(get(gw+"/mobile/callback/nobody")))
	w.see(503, func() call { // begun at a gateway whose keys this one does not know
		p := newPerson()
		_, start := w.send(get(plain + "/mobile/authorize?" + w.request("phone", private).Encode()).of(p))
		p.cookies["gw.example.com"] = p.cookies["plain.example.com"]
		return get(gw + "/mobile/callback/phone?code=c&state=" + start.to().Query().Get("state")).of(p)
	})
	confirm := func() call {
		p := newPerson()
		page := w.see(200, same(get(w.beginNative(p, w.request("phone", private))).of(p)))
		check := regexp.MustCompile(`name="confirm" value="([^"]+)"`).FindStringSubmatch(page.text)
		if check == nil {
			w.t.Fatalf("no form on the page: %s", page.text)
		}
		return post(gw+"/mobile/callback/phone", url.Values{"confirm": {check[1]}}, "Sec-Fetch-Site", "same-origin").of(p)
	}
	q := confirm()
	again := q.of(&person{cookies: map[string]map[string]string{"gw.example.com": maps.Clone(q.by.cookies["gw.example.com"])}})
	w.see(303, same(q))
	w.see(410, func() call { // the same page in another window
		held := &person{cookies: map[string]map[string]string{"gw.example.com": maps.Clone(again.by.cookies["gw.example.com"])}}
		return again.of(held)
	})
	w.see(400, same(call{method: "POST", url: gw + "/mobile/callback/phone", fields: []string{"Sec-Fetch-Site", "same-origin"}}))
	w.see(404, same(post(gw+"/mobile/callback/nobody", nil, "Sec-Fetch-Site", "same-origin")))

	w.see(201, same(post(gw+"/mobile/par", w.request("phone", claimed))))
	pushed := w.see(201, same(post(gw+"/mobile/par", w.request("phone", claimed, "prompt", "")))).members()
	uri, _ := pushed["request_uri"].(string)
	w.see(303, same(get(gw+"/mobile/authorize?"+url.Values{"client_id": {"phone"}, "request_uri": {uri}}.Encode())))
	_, elsewhere := w.send(post(plain+"/mobile/par", w.request("phone", private)))
	w.see(503, same(get(gw+"/mobile/authorize?"+url.Values{"client_id": {"phone"}, "request_uri": {fmt.Sprint(elsewhere.members()["request_uri"])}}.Encode())))
	w.see(400, same(post(gw+"/mobile/par", w.request("phone", "https://evil.example"))))
	w.see(400, same(post(gw+"/mobile/par", w.request("phone", claimed, "response_type", "token"))))

	_, refresh := w.handles()
	w.see(200, same(post(gw+"/mobile/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"phone"}, "refresh_token": {refresh}})))
	w.see(400, same(redeem("phone", claimed, nobody)))
	w.see(400, same(post(gw+"/mobile/token", url.Values{"grant_type": {"password"}, "client_id": {"phone"}})))
	w.see(400, same(post(gw+"/mobile/revoke", url.Values{"client_id": {"phone"}})))
	w.see(200, same(post(gw+"/mobile/revoke", url.Values{"client_id": {"phone"}, "token": {refresh}})))
	w.see(401, same(post(gw+"/mobile/token", url.Values{"grant_type": {"refresh_token"}}, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("phone:secret")))))
}

func (w *tour) nativeSessions() {
	access, _ := w.handles()
	w.see(200, same(asApp("GET", gw+"/mobile/session", access)))
	w.see(200, same(asApp("GET", gw+"/mobile/sessions", access)))
	other, refresh := w.handles()
	w.follow(asApp("GET", gw+"/mobile/events", other), func() {
		w.see(200, same(post(gw+"/mobile/revoke", url.Values{"client_id": {"phone"}, "token": {refresh}})))
	})
	w.see(204, same(asApp("DELETE", gw+"/mobile/sessions", access)))
	w.newUser()
	access, _ = w.handles()
	session, _ := w.see(200, same(asApp("GET", gw+"/mobile/session", access))).members()["session"].(map[string]any)
	w.see(404, same(asApp("DELETE", gw+"/mobile/sessions/"+nobody[:22], access)))
	other, _ = w.handles()
	theirs, _ := w.see(200, same(asApp("GET", gw+"/mobile/session", other))).members()["session"].(map[string]any)
	w.see(204, same(asApp("DELETE", gw+"/mobile/sessions/"+fmt.Sprint(theirs["id"]), access)))
	w.see(200, same(asApp("DELETE", gw+"/mobile/sessions/"+fmt.Sprint(session["id"]), access)))
	w.see(401, same(asApp("GET", gw+"/mobile/session", access)))
}

func (w *tour) signOutByApp() {
	access, _ := w.handles()
	to, _ := w.see(200, same(asApp("POST", gw+"/mobile/logout", access))).members()["logout_url"].(string)
	w.see(200, same(asApp("POST", gw+"/mobile/logout", access)))
	p := newPerson()
	w.see(200, same(get(to).of(p)))
	leave := post(to, nil, "Sec-Fetch-Site", "same-origin").of(p)
	w.see(200, same(leave))
	w.see(410, same(leave))
	state := p.cookies["gw.example.com"][surface.CookieName("phone", surface.PartLeaving)]
	w.see(303, same(get(gw+"/mobile/logged-out?state="+state).of(p)))
	w.see(200, same(get(gw+"/mobile/logged-out")))
}

func (w *tour) boundHandles() {
	// An app that must bind, at a gateway that wants its own nonces.
	asked := w.request("bound", claimed, "dpop_jkt", w.key.Thumbprint())
	code := w.code(asked)
	w.see(400, same(redeem("bound", claimed, code)))
	refused := w.see(400, func() call { return w.proven(redeem("bound", claimed, code), "") })
	w.nonce = refused.Header.Get("DPoP-Nonce")
	good := w.see(200, func() call { return w.proven(redeem("bound", claimed, code), "", prover.Nonce(w.nonce)) })
	handle, _ := good.members()["access_token"].(string)
	if good.members()["token_type"] != "DPoP" || good.Header.Get("DPoP-Nonce") == "" {
		w.t.Errorf("a bound handle: %v %s", good.Header, good.text)
	}
	session := call{method: "GET", url: gw + "/mobile/session"}
	w.see(401, func() call { return w.proven(session, handle) })
	w.see(401, func() call { return w.proven(session, handle, prover.Nonce(w.nonce), prover.Method("POST")) })
	w.see(401, same(asApp("GET", gw+"/mobile/session", handle)))
	w.see(200, func() call { return w.proven(session, handle, prover.Nonce(w.nonce)) })
	push := post(gw+"/mobile/par", w.request("bound", claimed))
	w.see(400, func() call { return w.proven(push, "", prover.Nonce(w.nonce), prover.Method("GET")) })
	w.see(201, func() call { return w.proven(push, "", prover.Nonce(w.nonce)) })
	// An app that may.
	w.see(200, func() call { return w.proven(redeem("phone", claimed, w.code(w.request("phone", claimed))), "") })
}

func (w *tour) provider() {
	for _, at := range []struct{ client, url string }{{"web", web + "/bff/backchannel-logout"}, {"phone", gw + "/mobile/backchannel-logout"}} {
		text, err := w.issuer.MakeLogoutToken(provider.LogoutToken{Client: at.client, Sub: "usr_1002", SID: "ses_none"})
		if err != nil {
			w.t.Fatal(err)
		}
		w.see(200, same(post(at.url, url.Values{"logout_token": {text}})))
		w.see(400, same(post(at.url, url.Values{"logout_token": {text}})))
	}
	query := "?iss=" + url.QueryEscape(w.issuer.Issuer()) + "&sid=ses_none"
	w.see(200, same(get(web+"/bff/frontchannel-logout"+query)))
	w.see(200, same(get(gw+"/mobile/frontchannel-logout"+query)))
	w.see(404, same(get(lost+"/bff/frontchannel-logout")))
}

func (w *tour) operator() {
	w.see(200, same(get(ops+"/readyz")))
	w.see(200, same(get(ops+"/metrics")))
}

func (w *tour) administrator() {
	p := w.signIn(web, 200)
	id := w.id(p)
	w.see(200, same(asAdmin("GET", admin+"/admin/sessions?provider=main&sub="+w.user())))
	w.see(200, same(asAdmin("GET", admin+"/admin/sessions/"+id)))
	w.see(404, same(asAdmin("GET", admin+"/admin/sessions/"+nobody[:22])))
	w.see(400, same(asAdmin("GET", admin+"/admin/sessions")))
	w.see(400, same(asAdmin("GET", admin+"/admin/sessions/x")))
	w.see(400, same(asAdmin("DELETE", admin+"/admin/sessions")))
	w.see(400, same(asAdmin("DELETE", admin+"/admin/sessions/"+id+"?scope=all")))
	w.see(200, same(asAdmin("DELETE", admin+"/admin/sessions/"+id+"?scope=sso")))
	w.see(200, same(asAdmin("DELETE", admin+"/admin/sessions?provider=main&sub=usr_1002")))
	w.see(200, same(asAdmin("DELETE", admin+"/admin/sessions?provider=main&sid=ses_none&dry_run=true")))
	w.see(200, same(asAdmin("DELETE", admin+"/admin/sessions?app=pages")))
	w.see(200, same(asAdmin("DELETE", admin+"/admin/sessions?all=true&dry_run=true")))
	w.see(200, same(asAdmin("GET", admin+"/debug/pprof")))
	w.see(200, same(asAdmin("GET", admin+"/debug/pprof/heap")))
	w.see(200, same(asAdmin("GET", admin+"/debug/pprof/goroutine?debug=1")))
	w.see(400, same(asAdmin("GET", admin+"/debug/pprof/profile?seconds=61")))
	w.see(404, same(asAdmin("GET", admin+"/debug/pprof/nothing")))
	w.see(400, same(call{method: "GET", url: admin + "/debug/pprof", fields: asAdmin("", "").fields, body: "x"}))
}

// routes shows what the gateway itself answers on the operator's own routes, and everywhere.
func (w *tour) routes() {
	p := w.signIn(web, 200)
	api := func(method, path string) call { return script(method, web+path, p) }
	w.is("RouteUpstreamUnauthorized", 401, api("GET", "/api/refuse"))
	w.is("RouteInsufficientAuthentication", 401, api("GET", "/gold/x"))
	w.is("RouteStepUpNotSatisfiable", 403, api("GET", "/api/newer"))
	w.is("RouteAppNotAllowed", 403, api("GET", "/phones/x"))
	w.is("RouteClaimRequired", 403, api("GET", "/staff/x"))
	w.is("RouteNotFound", 404, api("GET", "/nothing"))
	big := api("POST", "/api/x")
	big.body = strings.Repeat("x", 2<<10)
	w.is("RouteTooLarge", 413, big)
	w.is("RouteHeaderTooLarge", 431, api("GET", "/narrow/x").with("X-Padding", strings.Repeat("x", 1<<10)))
	w.is("RouteUpstreamUnavailable", 502, api("GET", "/dead/x"))
	_, came := w.send(api("GET", "/api/via"))
	w.is("RouteLoopDetected", 508, api("GET", "/api/x").with("Via", came.Header.Get("Seen-Via")))
	w.is("RouteUpstreamTimeout", 504, api("GET", "/hang/x"))
	w.is("MethodNotAllowed", 405, api("PUT", "/api/x"))
	w.is("Malformed", 400, api("GET", "/api/..%2fx"))
	w.is("Misdirected", 421, get("http://elsewhere.example.com/"))
	w.is("SessionRequired", 401, get(web+"/api/x", csrf...))
	w.is("GuardFailed", 403, get(web+"/api/x").of(p))
	w.is("HandleRefused", 401, get(gw+"/api/x"))
}
