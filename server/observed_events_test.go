package server_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/test/browser"
)

// events holds one of the gateway's own event streams open while the metrics are read.
func (o *observed) events(b *browser.Browser) {
	o.t.Helper()
	ctx, leave := context.WithCancel(o.t.Context())
	defer leave()
	res, err := b.Open(ctx, browser.At(webOrigin+"/"), browser.Request{URL: webOrigin + "/bff/events", Header: http.Header{"X-Csrf": {"1"}}})
	if err != nil || res.StatusCode != 200 {
		o.t.Fatalf("an event stream: %v %v", res, err)
	}
	defer res.Body.Close()
	if n := o.now("bff_event_streams", `surface="browser"`); n != 1 {
		o.t.Errorf("%v event streams are open, want 1", n)
	}
	o.until("its session is looked at", func() bool { return o.now("bff_watch_looks_total", `result="alive"`) > 0 })
	kept := o.families["bff_event_streams"]
	leave()
	_ = res.Body.Close()
	o.until("the event stream is counted out", func() bool { return o.now("bff_event_streams", `surface="browser"`) == 0 })
	o.families["bff_event_streams"] = kept
}

// An instance that stops ends its event streams without a word, and does not wait for them: their frontends come back to
// another one.
func TestEventStreamsEndWithTheirInstance(t *testing.T) {
	o := newObserved(t)
	res, err := o.signInBrowser().Open(t.Context(), browser.At(webOrigin+"/"), browser.Request{
		URL: webOrigin + "/bff/events", Header: http.Header{"X-Csrf": {"1"}},
	})
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("an event stream: %v %v", res, err)
	}
	defer res.Body.Close()
	said := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(res.Body) // a connection that breaks is the end as well
		said <- string(text)
	}()
	o.until("the stream is counted", func() bool { return o.now("bff_event_streams", `surface="browser"`) == 1 })
	go o.stop()
	select {
	case text := <-said:
		if strings.Contains(text, "session-ended") {
			t.Errorf("the stream says %q", text)
		}
	case <-time.After(10 * time.Second): // the drain would wait for 25
		t.Error("the drain waits for the stream")
	}
}

func TestDocsListEveryEvent(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../surface/events.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "event") {
			return true
		}
		text, fixed := literal(spec.Values[0])
		if !fixed {
			t.Errorf("%s is not a fixed text", spec.Names[0].Name)
		}
		have = append(have, text)
		return false
	})
	slices.Sort(have)
	if diff := cmp.Diff(names(tableOf(t, "Events")), have); diff != "" {
		t.Errorf("docs/endpoints.md (-docs +code):\n%s", diff)
	}
}
