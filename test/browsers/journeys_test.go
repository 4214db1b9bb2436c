//go:build browsers

package browsers_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/test/browsers"
	"cloakroom/test/world"
)

const (
	signInButton = `[...document.querySelectorAll("main button")].some((b) => b.innerText === "Sign in")`
	liveView     = `[...document.querySelectorAll("[aria-labelledby=live] [role=status], section [role=status]")].some((e) => e.innerText === "Live")`
)

// A day with the demo: a deep link, a sign-in, an order, a reload, an export, three tabs that share one stream, a sign-out that
// reaches them all.
func TestEveryday(t *testing.T) {
	each(t, demo(t), world.Options{}, func(t *testing.T, b *browsers.Browser, p *place) {
		tab := b.First()
		deep := p.origin + "/orders?from=mail#item"
		signIn(tab, deep)
		is(t, tab.URL() == deep, "back at the deep link, not %s", tab.URL())
		cookies := tab.Cookies()
		is(t, len(cookies) == 1 && cookies[0].Name == "__Host-Http-web" && cookies[0].HTTPOnly && cookies[0].Secure && cookies[0].SameSite == "Strict",
			"one cookie that no script reads, not %+v", cookies)

		home, account := b.Open(p.origin+"/"), b.Open(p.origin+"/account")
		home.Until(liveView)
		account.Sees("Live: should you")
		is(t, streams(p) == 1, "one stream for all tabs, not %d", streams(p))

		var answers []int // the metadata of its requests is what the guards go by
		tab.Run(`const status = async (url, headers) => (await fetch(url, {headers})).status;
			return [await status("/api/orders", {"X-CSRF": "1"}), await status("/api/orders"), await status("/bff/session", {"X-CSRF": "1"})];`, &answers)
		is(t, slices.Equal(answers, []int{200, 403, 200}), "200, 403, 200, not %v", answers)

		tab.Type("Item", "Top hat")
		tab.Click("button", "Order")
		home.Sees("Top hat")
		home.Sees("packed")
		tab.Reload()
		tab.Sees("Top hat")

		tab.Click("a", "Export")
		tab.Click("button", "Export all orders")
		tab.Until(`document.querySelector("progress")?.value > 0`)
		tab.Sees("Your file is ready")
		var file []string
		tab.Run(`const answer = await fetch(document.querySelector(".ready a").href);
			return [answer.headers.get("content-disposition"), await answer.text()];`, &file)
		is(t, strings.Contains(file[0], "attachment") && strings.Contains(file[1], "Top hat"), "a file with the order, not %q", file)

		account.Click("header button", "Sign out")
		account.Until(signInButton)
		for _, other := range []*browsers.Tab{tab, home} {
			other.Sees("You have signed out")
			other.Gone("Lovelace")
		}
		var held string
		account.Run(`return document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage);`, &held)
		left := account.Cookies() // one that says which sign-out its browser has seen
		is(t, held == "{}{}" && len(left) == 1 && left[0].Name == "__Host-Http-web.so" && left[0].HTTPOnly, "nothing of the session is left, not %s, %+v", held, left)
	})
}

// The tab that holds the stream is closed: another one takes it over, and still learns at once of an end from elsewhere.
func TestTheLeaderCloses(t *testing.T) {
	each(t, demo(t), world.Options{}, func(t *testing.T, b *browsers.Browser, p *place) {
		leader := b.First()
		signIn(leader, p.origin+"/account")
		leader.Sees("Live: should you")
		next, third := b.Open(p.origin+"/account"), b.Open(p.origin+"/orders")
		next.Sees("Live: should you")
		leader.Close()
		next.Run(`return new Promise((done) => setTimeout(done, 500));`, nil)
		next.Sees("Live: should you")
		for end := time.Now().Add(10 * time.Second); streams(p) != 1 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			continue // the closed tab's connection has to be seen as closed
		}
		is(t, streams(p) == 1, "one stream after the one that was closed, not %d", streams(p))
		third.Run(`const {session} = await (await fetch("/bff/session", {headers: {"X-CSRF": "1"}})).json();
			await fetch("/bff/sessions/" + session.id, {method: "DELETE", headers: {"X-CSRF": "1"}});`, nil) // past the client: the stream alone tells
		for _, tab := range []*browsers.Tab{next, third} {
			tab.Sees("You have signed out")
		}
	})
}

// A session about to end: the dialog, and a click that keeps it; then nobody answers, and the page says what happened.
func TestEnding(t *testing.T) {
	each(t, demo(t), world.Options{App: "    session: {idle: 80s, absolute: 1h}\n"}, func(t *testing.T, b *browsers.Browser, p *place) {
		tab := b.First()
		signIn(tab, p.origin+"/orders")
		tab.Until(`document.querySelector("dialog[open]")?.innerText.includes("Your session ends")`)
		var focused string
		tab.Run(`return document.activeElement.innerText`, &focused)
		is(t, focused == "Stay signed in", "the focus is on the way on, not on %s", focused)
		var ring bool
		tab.Run(`return document.activeElement.matches(":focus-visible")`, &ring)
		is(t, ring, "the focus can be seen")
		tab.Click("dialog button", "Stay signed in")
		tab.Until(`document.querySelector("dialog[open]") === null`)
	})
}

// The gateway is replaced under open pages: they say so, nobody is signed out, and all is live again.
func TestRestart(t *testing.T) {
	each(t, demo(t), world.Options{}, func(t *testing.T, b *browsers.Browser, p *place) {
		home := b.First()
		signIn(home, p.origin+"/")
		home.Until(liveView)
		home.Sees("Live: should you")
		home.Run("window.sameDocument = true;", nil)
		p.network.Refuse()
		if err := p.All[0].Stop(); err != nil {
			t.Fatal(err)
		}
		home.Until(`/We cannot reach the gateway|The gateway is restarting/.test(document.querySelector(".float .notice")?.innerText)`)
		in := p.Setup.Start(t)
		p.All = append(p.All, in)
		p.network.Retarget(in.Addr)
		p.network.Pass()
		home.Until(`document.querySelector(".float .notice") === null && window.sameDocument`)
		home.Until(liveView)
		home.Sees("Live: should you")
	})
}

// A refund an hour after the sign-in: why, the provider, back at the very order, one click.
func TestStepUp(t *testing.T) {
	each(t, demo(t), world.Options{}, func(t *testing.T, b *browsers.Browser, p *place) {
		tab := b.First()
		signIn(tab, p.origin+"/orders")
		p.Dev.AgeSignIns(time.Hour)
		tab.Goto(p.origin + "/bff/login?return_to=/orders")
		tab.Type("Item", "Coat")
		tab.Click("button", "Order")
		tab.Click("ul.orders li:not(.pending) a", "ord_")
		tab.Click("button", "Refund")
		tab.Click("dialog button", "Sign in again")
		tab.Click("button", "Ada")
		tab.Sees("is ready to confirm")
		tab.Click("button", "Refund")
		tab.Sees("The money for this order is on its way back.")
	})
}

// Back, to a page that the browser kept as it was: it goes on; after a sign-out elsewhere nothing of the user is seen.
func TestBackAndForward(t *testing.T) {
	each(t, demo(t), world.Options{}, func(t *testing.T, b *browsers.Browser, p *place) {
		tab := b.First()
		signIn(tab, p.origin+"/orders")
		other := b.Open(p.origin + "/account")
		other.Sees("Live: should you")
		tab.Type("Item", "Scarf")
		tab.Run(`addEventListener("pageshow", (e) => { window.kept = e.persisted; });`, nil)
		tab.Goto(p.origin + "/favicon.svg")
		tab.Back()
		tab.Until(`document.querySelector("form input")?.checkVisibility()`)
		var kept, typed bool
		tab.Run(`return window.kept === true;`, &kept)
		tab.Run(`return document.querySelector("input").value === "Scarf";`, &typed)
		// Firefox keeps no page that has a lock or waits for one, and all of ours do: it loads the app anew.
		is(t, kept == (b.Name == "WebKit") && typed == kept, "a page that was kept, by WebKit alone, with what was typed: %v, %v", kept, typed)

		tab.Run(`addEventListener("pageshow", (e) => {
			window.seen = "";
			const look = () => { window.seen += document.getElementById("root").checkVisibility({visibilityProperty: true, opacityProperty: true}) ? document.body.innerText : ""; requestAnimationFrame(look); };
			look();
		});`, nil)
		tab.Goto(p.origin + "/favicon.svg")
		other.Click("header button", "Sign out")
		other.Until(signInButton)
		tab.Back()
		tab.Until(signInButton)
		var seen string
		tab.Run(`return String(window.seen) + document.body.innerText;`, &seen)
		is(t, !strings.Contains(seen, "Lovelace") && !strings.Contains(seen, "ada@"), "nothing of Ada, not %s", seen)
	})
}

// WebKit keeps no Secure cookie that comes over http, also from localhost: it signs in nowhere, and is told why.
func TestWebKitOverHTTP(t *testing.T) {
	p := at(t, "http", demo(t), world.Options{})
	tab := browsers.WebKit(t).First()
	tab.Goto(p.origin + "/orders")
	tab.Click("main button", "Sign in")
	tab.Click("button", "Ada")
	tab.Sees("Sign-in not found")
	tab.Sees("Over plain http Safari keeps no sign-in")
	is(t, len(tab.Cookies()) == 0, "no cookie, not %+v", tab.Cookies())
}
