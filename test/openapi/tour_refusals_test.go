package openapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// oauth are the endpoints that OAuth libraries post to.
var oauth = []string{"/mobile/token", "/mobile/revoke", "/mobile/par"}

// refusals asks every operation for what all of its kind refuse.
func (w *tour) refusals() {
	p := w.signIn(web, 200)
	access, _ := w.handles()
	w.each(401, func(server, path, method string, op *openapi3.Operation) func() call {
		q := call{method: method, url: at(server, path)}
		switch {
		case takes(op, "csrf"):
			q.fields = csrf
		case slices.Contains(oauth, path):
			q = post(q.url, url.Values{"client_id": {"nobody"}})
		case path == "/bff/landed" || path == "/mobile/callback/{app}": // shown by themselves
			return nil
		}
		return same(q)
	})
	w.each(403, func(server, path, method string, op *openapi3.Operation) func() call {
		q := call{method: method, url: at(server, path)}
		switch {
		case server == ofAdmin:
			q = asAdmin(method, q.url).with("Origin", web)
		case server == ofOps:
			q = q.with("Origin", web)
		case op.Tags[0] == "browser session":
			q = q.of(p).with("Sec-Fetch-Site", "cross-site")
		case takes(op, "handle"):
			q = asApp(method, q.url, access).with("Origin", "https://evil.example")
		case slices.Contains(oauth, path):
			q = post(q.url, nil, "Origin", "https://evil.example")
		default: // an address that is opened
			q = q.with("Sec-Purpose", "prefetch")
		}
		return same(q)
	})
	w.each(400, func(server, path, method string, op *openapi3.Operation) func() call {
		q := call{method: method, url: at(server, path)}
		switch {
		case takes(op, "handle"):
			return same(asApp(method, q.url, access).with("Cookie", "__Host-Http-web=x"))
		case takes(op, "csrf"):
			return same(script(method, q.url, p).with("Authorization", "Bearer "+access))
		case server == ofAdmin: // a parameter that nothing knows
			return same(asAdmin(method, q.url+"?unknown=x"))
		}
		return nil // each has its own rules: shown by themselves
	})
	w.methods()
}

// methods asks every path for every method that it does not take.
func (w *tour) methods() {
	for pattern, item := range w.d.Paths.Map() {
		var allow []string
		for method := range item.Operations() {
			allow = append(allow, method)
		}
		slices.Sort(allow)
		for _, server := range item.Servers {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
				if slices.Contains(allow, method) || method == "HEAD" && (server.URL == ofOps || server.URL == ofAdmin) { // net/http answers it as GET
					continue
				}
				_, res := w.send(asAdmin(method, at(server.URL, pattern)))
				got := slices.DeleteFunc(strings.Split(res.Header.Get("Allow"), ", "), func(m string) bool { return m == "HEAD" })
				if slices.Sort(got); res.StatusCode != 405 || !slices.Equal(got, allow) {
					w.t.Errorf("%s %s at %s: %d, Allow %q, described are %q", method, pattern, server.URL, res.StatusCode, got, allow)
				}
			}
		}
	}
}

// at is the address of an operation in the tour.
func at(server, path string) string {
	base := map[string]string{ofApp: web, ofGateway: gw, ofOps: ops, ofAdmin: admin}[server]
	return base + strings.NewReplacer("{id}", nobody[:22], "{ticket}", nobody, "{app}", "phone", "{name}", "heap").Replace(path)
}

// takes reports whether an operation names a security scheme.
func takes(op *openapi3.Operation, scheme string) bool {
	if op.Security == nil {
		return false
	}
	return slices.ContainsFunc(*op.Security, func(r openapi3.SecurityRequirement) bool { _, ok := r[scheme]; return ok })
}

// outage takes the store away: what cannot be told is 503, and nobody is signed out by it.
func (w *tour) outage() {
	p := w.signIn(web, 200)
	access, refresh := w.handles()
	link, _ := w.see(200, same(script("GET", web+"/bff/session", p))).members()["logout_url"].(string)
	back, person := "", newPerson()
	page := w.see(200, same(get(w.beginNative(person, w.request("phone", private))).of(person)))
	check := regexp.MustCompile(`name="confirm" value="([^"]+)"`).FindStringSubmatch(page.text)
	form := func(path string, values ...string) call {
		v := url.Values{}
		for i := 0; i+1 < len(values); i += 2 {
			v.Set(values[i], values[i+1])
		}
		return post(gw+path, v)
	}
	special := map[string]func() call{
		"GET /bff/callback": func() call {
			p := newPerson()
			back = w.begin(p, web, "login_hint="+w.user()).String()
			return get(back).of(p)
		},
		"GET /bff/landed":              same(get(web + "/bff/landed").of(p)),
		"GET /bff/signed-in":           same(get(web + "/bff/signed-in").of(p)),
		"GET /bff/logout":              same(get(web + link).of(p)),
		"POST /mobile/callback/{app}":  same(post(gw+"/mobile/callback/phone", url.Values{"confirm": {check[1]}}, "Sec-Fetch-Site", "same-origin").of(person)),
		"POST /mobile/token":           same(form("/mobile/token", "grant_type", "refresh_token", "client_id", "phone", "refresh_token", refresh)),
		"POST /mobile/par":             same(post(gw+"/mobile/par", w.request("phone", claimed, "step_up", w.newerTicket()))),
		"POST /mobile/revoke":          same(form("/mobile/revoke", "client_id", "phone", "token", refresh)),
		"POST /mobile/logout/{ticket}": same(post(gw+"/mobile/logout/"+nobody, nil, "Sec-Fetch-Site", "same-origin")),
		"GET /mobile/callback/{app}":   nil, // goes back to the app
		"GET /mobile/authorize":        nil, // writes nothing, as all starts
		"GET /bff/login":               nil, // writes nothing
		"GET /bff/initiate":            nil,
		"GET /readyz":                  nil, // says so in its body
		"DELETE /admin/sessions":       same(asAdmin("DELETE", admin+"/admin/sessions?app=web")),
		"GET /admin/sessions":          same(asAdmin("GET", admin+"/admin/sessions?provider=main&sub=usr_1001")),
	}
	w.redis.Close()
	w.see(200, same(get(ops+"/readyz")))
	w.each(503, func(server, path, method string, op *openapi3.Operation) func() call {
		q := call{method: method, url: at(server, path)}
		switch make, is := special[method+" "+path]; {
		case is:
			return make
		case server == ofAdmin:
			return same(asAdmin(method, q.url))
		case takes(op, "handle"):
			return same(asApp(method, q.url, access))
		case op.Tags[0] == "browser session":
			return same(script(method, q.url, p))
		}
		return same(q.of(p))
	})
}

// floods asks where it is too much, each from an address of its own: real floods are other tests'.
func (w *tour) floods() {
	p := w.signIn(web, 200)
	access, _ := w.handles()
	asked := 0
	w.each(429, func(server, path, method string, op *openapi3.Operation) func() call {
		flooder := newPerson()
		asked++
		flooder.from = fmt.Sprint("203.0.113.", asked)
		q := call{method: method, url: at(server, path)}
		switch {
		case path == "/bff/events":
			return w.tooManyStreams(script(method, q.url, p))
		case path == "/mobile/events":
			return w.tooManyStreams(asApp(method, q.url, access))
		case method == "POST":
			q = post(q.url, url.Values{"client_id": {"nobody"}, "logout_token": {"x"}}, "Sec-Fetch-Site", "same-origin")
		}
		if server != ofAdmin { // where no proxy is believed
			q = q.of(flooder)
		}
		w.exhaust(q)
		return same(q)
	})
}

// exhaust has the limit that a request counts against be used up, for half a minute at least: what it keeps is the moment at
// which all of the burst is free again, in milliseconds.
func (w *tour) exhaust(q call) {
	limits := func() map[string]string {
		all := map[string]string{}
		for _, key := range w.redis.Keys() {
			if strings.HasPrefix(key, "cr:rl:") {
				all[key], _ = w.redis.Get(key)
			}
		}
		return all
	}
	before := limits()
	w.send(q)
	for key, value := range limits() {
		if value != before[key] { // 70 s: the longest burst takes 40, and a moment too far ahead would be taken for a clock set back
			if err := w.redis.Set(key, fmt.Sprint(time.Now().Add(70*time.Second).UnixMilli())); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// tooManyStreams opens as many as a session may have; its request is for one more.
func (w *tour) tooManyStreams(q call) func() call {
	for range 20 {
		body := w.open(q).Body
		w.t.Cleanup(func() { _ = body.Close() })
	}
	return same(q)
}

// drain has the gateway stop while somebody still waits for an answer.
func (w *tour) drain() {
	waiting := make(chan struct{})
	go func() {
		defer close(waiting)
		res := w.open(get(gw + "/slow/"))
		_ = res.Body.Close()
	}()
	<-w.waits
	w.stop["full"]()
	w.until("it drains", func() bool {
		_, res := w.send(get(ops + "/readyz"))
		return res.StatusCode == http.StatusServiceUnavailable
	})
	w.see(503, same(get(ops+"/readyz")))
	close(w.slow)
	<-waiting
}

// until waits until something holds.
func (w *tour) until(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			w.t.Fatalf("still not so: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// unreferenced lists the responses that belong to no operation, and those of them that the tour did not see.
func (w *tour) unreferenced() {
	used := map[string]bool{}
	for _, item := range w.d.Paths.Map() {
		for _, op := range item.Operations() {
			for _, r := range op.Responses.Map() {
				used[strings.TrimPrefix(r.Ref, "#/components/responses/")] = true
			}
		}
	}
	// What cannot be asked for here: a defect, and one WebSocket or request too many, which the proxy's own tests show.
	for _, name := range []string{"Internal", "RouteTooManySockets", "RouteUpstreamBusy"} {
		used[name] = true
	}
	for name, r := range w.d.Components.Responses {
		for media := range r.Value.Content {
			if !used[name] && !w.also[name+" "+media] {
				w.t.Errorf("described, and not seen: response %s %s", name, media)
			}
		}
	}
}
