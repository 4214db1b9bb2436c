//go:build browsers

// Package browsers drives the browsers beside Chromium for tests: Firefox, over its own Marionette, and WebKit, the engine of
// Safari, over WebDriver. Both take the same commands; a Wire carries them.
//
// It knows how to start either, and to do in a tab what a person does: look, click, type. It does not know the gateway. Tests
// run one after the other: of two WebKits that are driven at once both hang.
package browsers

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait: on two busy cores it finds what hangs, not what is slow.
const patience = 30 * time.Second

// element is the name under which WebDriver passes an element (W3C WebDriver, section 12.1).
const element = "element-6066-11e4-a52e-4f735466cecf"

// Wire carries one command of W3C WebDriver, by the name that Marionette has for it, and decodes what is answered.
type Wire interface {
	Call(verb string, params map[string]any, answer any) error
}

// Browser is a running browser with a profile of its own.
type Browser struct {
	Name string // Firefox or WebKit
	t    *testing.T
	wire Wire
}

// Tab is one of its pages.
type Tab struct {
	b      *Browser
	handle string
}

// Cookie is a cookie as the browser keeps it.
type Cookie struct {
	Name, Path, Domain, SameSite string
	Secure, HTTPOnly             bool
}

// call carries out a command, which must succeed.
func (b *Browser) call(verb string, params map[string]any, answer any) {
	b.t.Helper()
	if err := b.wire.Call(verb, params, answer); err != nil {
		b.t.Fatalf("%s: %s %.200v: %v", b.Name, verb, params, err)
	}
}

// First returns the tab that a browser starts with.
func (b *Browser) First() *Tab {
	b.t.Helper()
	var handle string
	b.call("GetWindowHandle", nil, &handle)
	return &Tab{b: b, handle: handle}
}

// Open opens one more tab at an address.
func (b *Browser) Open(url string) *Tab {
	b.t.Helper()
	var made struct{ Handle string }
	b.call("NewWindow", map[string]any{"type": "tab"}, &made)
	tab := &Tab{b: b, handle: made.Handle}
	tab.Goto(url)
	return tab
}

// front makes the tab the one that commands go to.
func (tab *Tab) front() *Browser {
	tab.b.t.Helper()
	tab.b.call("SwitchToWindow", map[string]any{"handle": tab.handle}, nil)
	return tab.b
}

// Goto opens an address, as one typed in.
func (tab *Tab) Goto(url string) {
	tab.b.t.Helper()
	tab.front().call("Navigate", map[string]any{"url": url}, nil)
}

// Reload loads the page anew.
func (tab *Tab) Reload() { tab.b.t.Helper(); tab.front().call("Refresh", nil, nil) }

// Back goes one page back.
func (tab *Tab) Back() { tab.b.t.Helper(); tab.front().call("Back", nil, nil) }

// Close closes the tab.
func (tab *Tab) Close() { tab.b.t.Helper(); tab.front().call("CloseWindow", nil, nil) }

// Cookies returns what the browser keeps for the page, HttpOnly or not.
func (tab *Tab) Cookies() (all []Cookie) {
	tab.b.t.Helper()
	tab.front().call("GetCookies", nil, &all)
	return all
}

// Run runs the body of an async function in the page and decodes what it returns; nil if nobody wants to know.
func (tab *Tab) Run(body string, answer any, args ...any) {
	tab.b.t.Helper()
	if err := tab.run(body, answer, args); err != nil {
		tab.b.t.Fatalf("%s: %v in\n%s", tab.b.Name, err, body)
	}
}

func (tab *Tab) run(body string, answer any, args []any) error {
	tab.b.t.Helper()
	const script = `const args = [...arguments], done = args.pop();
		(async (...args) => { %s })(...args).then((is) => done({is}), (e) => done({error: String(e)}));`
	var got struct {
		Is    json.RawMessage
		Error string
	}
	if args == nil {
		args = []any{}
	}
	call := map[string]any{"script": fmt.Sprintf(script, body), "args": args}
	if err := tab.front().wire.Call("ExecuteAsyncScript", call, &got); err != nil {
		return err
	}
	if got.Error != "" {
		return fmt.Errorf("the page throws %s", got.Error)
	}
	if answer == nil || got.Is == nil {
		return nil
	}
	return json.Unmarshal(got.Is, answer)
}

// Until waits for an expression to be true in the page.
func (tab *Tab) Until(expression string, args ...any) {
	tab.b.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		holds := false
		// A page that is on its way to the next one answers with an error; the next one may hold.
		if err = tab.run("return !!("+expression+");", &holds, args); err == nil && holds {
			return
		}
	}
	tab.b.t.Fatalf("%s: never %s %v (%v)\n%s", tab.b.Name, expression, args, err, tab.Text())
}

// URL returns where the tab is.
func (tab *Tab) URL() (url string) {
	tab.b.t.Helper()
	tab.Run("return location.href;", &url)
	return url
}

// Text is where the tab is and what it shows, for messages.
func (tab *Tab) Text() string {
	var shown string
	_ = tab.run(`return location.href + "\n" + document.body.innerText;`, &shown, nil) // a page that says nothing is told by nothing
	return shown
}

// Sees waits until a text is shown; Gone until it is not.
func (tab *Tab) Sees(text string) {
	tab.b.t.Helper()
	tab.Until("document.body.innerText.includes(args[0])", text)
}

// Gone waits until a text is not shown.
func (tab *Tab) Gone(text string) {
	tab.b.t.Helper()
	tab.Until("!document.body.innerText.includes(args[0])", text)
}

// find is what Click and Type look for: the element of a selector in view of whose name or label a line begins with the text.
const find = `[...document.querySelectorAll(args[0])].find((e) => e.checkVisibility() && !e.disabled &&
	(e.labels?.[0] ?? e).innerText.split("\n").some((line) => line.trim().startsWith(args[1])))`

// Click clicks, as a person does, the element of a selector whose name begins with the text, once it is there.
func (tab *Tab) Click(selector, text string) {
	tab.b.t.Helper()
	tab.on(selector, text, "ElementClick", nil)
}

// Type types into the field of a label.
func (tab *Tab) Type(label, text string) {
	tab.b.t.Helper()
	tab.on("input", label, "ElementSendKeys", map[string]any{"text": text})
}

// on does something with an element once it is there, and again with the next one where the page replaced it meanwhile.
func (tab *Tab) on(selector, text, verb string, params map[string]any) {
	tab.b.t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); {
		tab.Until(find, selector, text)
		var found map[string]string
		if err = tab.run("return "+find+";", &found, []any{selector, text}); err != nil || found[element] == "" {
			continue
		}
		sent := map[string]any{"id": found[element]}
		for name, value := range params {
			sent[name] = value
		}
		if err = tab.b.wire.Call(verb, sent, nil); err == nil || !strings.Contains(err.Error(), "stale element") {
			break
		}
	}
	if err != nil {
		tab.b.t.Fatalf("%s: %s %s %q: %v", tab.b.Name, verb, selector, text, err)
	}
}
