//go:build integration

package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/world"
)

// listen opens a tab's event stream at an instance, as its EventSource does.
func (d *devices) listen(in *gateway.Instance, b *browser.Browser, origin string) *gateway.Stream {
	d.t.Helper()
	h, err := b.RequestHeader(browser.At(origin+"/"), browser.Request{URL: origin + "/bff/events"})
	if err != nil {
		d.t.Fatal(err)
	}
	h.Set("Accept", "text/event-stream")
	return d.opened(in, origin+"/bff/events", h)
}

// hears opens a native app's event stream at an instance.
func (d *devices) hears(in *gateway.Instance, access string) *gateway.Stream {
	d.t.Helper()
	return d.opened(in, publicOrigin+"/mobile/events", http.Header{"Authorization": {"Bearer " + access}})
}

func (d *devices) opened(in *gateway.Instance, url string, h http.Header) *gateway.Stream {
	d.t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header = h
	s := in.Listen(d.t, r)
	if c := s.Header.Get("Cache-Control"); c != "no-store" {
		d.t.Errorf("%s: Cache-Control %q", url, c)
	}
	if e := s.Next(d.t); e.Name != "session" || !strings.Contains(e.Data, `"authenticated":true`) {
		d.t.Fatalf("%s: first comes %+v", url, e)
	}
	return s
}

// told asserts what a stream hears next, and that it ends with that; it logs how long that took.
func (d *devices) told(what string, s *gateway.Stream, name, data string, since time.Time) {
	d.t.Helper()
	e := s.Next(d.t)
	d.Scan.Observe("event "+e.Name, "body", []byte(e.Data))
	if e.Name != name || e.Data != data {
		d.t.Errorf("%s is told %s %s, want %s %s", what, e.Name, e.Data, name, data)
		return
	}
	d.t.Logf("%s was told %s %s after %v", what, name, data, e.At.Sub(since).Round(time.Millisecond))
	if took := e.At.Sub(since); took > 10*time.Second {
		d.t.Errorf("%s was told after %v", what, took)
	}
	if more := s.Next(d.t); more.Name != "" {
		d.t.Errorf("and then %+v", more)
	}
}

// Two instances: whatever ends a session at one is told by the other to every tab and app of it, with the reason, and to
// nobody else.
//
// shows PRX-LIVE, SESS-KILL
func TestEverybodySeesASignOut(t *testing.T) {
	t.Parallel()
	d := newDevices(t, "recent: 10m")
	here, there := d.All[0], d.All[1]
	desk := d.ada(world.Origin)
	d.signIn(desk, docsOrigin, "/bff/login", "ada@example.com", "usr_1001") // the same session at the provider
	laptop := d.ada(world.Origin)
	access, cliID := d.native()
	onLaptop, onCLI := d.listen(there, laptop, world.Origin), d.hears(there, access)

	// The user signs out in another app of the same SSO session.
	tabs := map[string]*gateway.Stream{
		"a tab": d.listen(there, desk, world.Origin), "another tab": d.listen(there, desk, world.Origin),
		"a tab at the same instance": d.listen(here, desk, world.Origin), "a tab of docs": d.listen(there, desk, docsOrigin),
	}
	at := time.Now()
	d.Want(d.fetch(desk, "POST", docsOrigin, "/bff/logout"), 200)
	for what, s := range tabs {
		d.told(what, s, "session-ended", `{"reason":"signed_out"}`, at)
	}

	// By the list of devices: the native app.
	at = time.Now()
	d.Want(d.fetch(laptop, "DELETE", world.Origin, "/bff/sessions/"+cliID), 204)
	d.told("the native app", onCLI, "session-ended", `{"reason":"signed_out"}`, at)
	if status, body := d.call(there, "GET", "/mobile/events", access); status != 401 {
		t.Errorf("its handle afterwards: %d %s", status, body)
	}

	// A new sign-in of the same browser is told apart.
	at = time.Now()
	d.signIn(laptop, world.Origin, "/bff/login?prompt=login", "ada@example.com", "usr_1001")
	d.told("the laptop", onLaptop, "session-replaced", `{"reason":"replaced"}`, at)
	d.listen(there, laptop, world.Origin).Close()
	there.AwaitMetric(`bff_events_sent_total{event="session-ended"}`, 4)
	for deadline := time.Now().Add(30 * time.Second); there.Metric("bff_event_streams") != 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%v streams are still counted", there.Metric("bff_event_streams"))
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Nobody does anything: each end comes by itself, at both instances, also where the tab listens for all that time.
//
// shows SESS-IDLE, SESS-LIFE, PRX-LIVE
func TestEverybodySeesASessionLapse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, session, reason string }{
		{"an idle end", "idle: 3s, absolute: 1h", "idle"}, {"an absolute end", "idle: 4s, absolute: 4s", "absolute"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDevices(t, c.session)
			b, at := d.ada(world.Origin), time.Now()
			here, there := d.listen(d.All[0], b, world.Origin), d.listen(d.All[1], b, world.Origin)
			d.told("a tab", here, "session-ended", `{"reason":"`+c.reason+`"}`, at)
			d.told("a tab at the other instance", there, "session-ended", `{"reason":"`+c.reason+`"}`, at)
			d.At(d.All[1])
			d.Want(d.fetch(b, "GET", world.Origin, "/api/orders"), 401)
		})
	}
}

// An instance that stops ends its streams and does not wait for them; whoever comes back to another one goes on.
func TestStreamsOfAnInstanceThatStops(t *testing.T) {
	t.Parallel()
	d := newDevices(t, "recent: 10m")
	b := d.ada(world.Origin)
	s := d.listen(d.All[0], b, world.Origin)
	at := time.Now()
	if err := d.All[0].Stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(at); took > 15*time.Second {
		t.Errorf("it stopped after %v", took)
	}
	if e := s.Next(t); e.Name != "" {
		t.Errorf("the stream is told %+v", e)
	}
	d.At(d.All[1])
	d.listen(d.All[1], b, world.Origin)
}
