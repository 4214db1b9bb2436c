package dev

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"cloakroom/dev/provider"
)

// greeting is what whoever started the world reads first.
func (w *world) greeting() string {
	var b strings.Builder
	b.WriteString("\nCloakroom is running, on this machine alone. Ctrl-C stops it.\n\n")
	columns(&b, w.places())
	if w.hasDevApp() {
		b.WriteString("\nWho can sign in (nobody is asked for a password):\n")
		var users [][2]string
		for _, u := range provider.DefaultUsers() {
			users = append(users, [2]string{u.Name, u.Email})
		}
		columns(&b, users)
	}
	w.writeNotes(&b)
	if w.Config == "" {
		b.WriteString("\nTry this:\n")
		for i, step := range w.steps() {
			fmt.Fprintf(&b, "  %d. %s\n", i+1, step)
		}
	} else {
		w.writeRegistrations(&b)
	}
	fmt.Fprintf(&b, "\nA restart forgets everybody: sessions, keys, orders and who is signed in at the provider.\n")
	if w.Redis != "" {
		fmt.Fprintf(&b, "That is so with --redis, too: keys are new at each start, so what an earlier run left could not be opened and is\n"+
			"not looked at. This run's keys in Redis begin with %s and go by themselves when their time is over.\n", w.redis.prefix)
	}
	b.WriteString("\n")
	return b.String()
}

// columns writes pairs under each other.
func columns(b *strings.Builder, lines [][2]string) {
	width := 0
	for _, l := range lines {
		width = max(width, len(l[0]))
	}
	for _, l := range lines {
		fmt.Fprintf(b, "  %-*s  %s\n", width, l[0], l[1])
	}
}

// places are what listens where.
func (w *world) places() (lines [][2]string) {
	kinds := map[string]string{
		"spa": "a single-page app", "web": "pages behind sign-in", "mobile": "a mobile app", "desktop": "a desktop app",
	}
	for _, id := range appIDs(w.cfg) {
		app := w.cfg.Apps[id]
		where := app.Origin
		if app.Native() {
			where = w.cfg.Public.URL + "/mobile"
		}
		lines = append(lines, [2]string{id + ", " + kinds[app.Kind], where})
	}
	if w.hasDevApp() {
		lines = append(lines, [2]string{"the provider", w.issuer()})
	}
	return append(lines,
		[2]string{"the demo API and the server of the notes", "http://" + at(w.Ports.API)},
		[2]string{"metrics and probes", "http://" + at(w.Ports.Ops) + "/metrics"})
}

// hasDevApp reports whether any app signs in at the dev provider.
func (w *world) hasDevApp() bool { return clientsOf(w.cfg, w.issuer()) != nil }

// steps are what to try in the demo.
func (w *world) steps() []string {
	app := func(id string) string { return w.cfg.Apps[id].Origin }
	gateway := ""
	if w.Ports.Gateway != 8080 { // the example's default
		gateway = " --gateway " + w.cfg.Public.URL
	}
	return []string{
		"Open " + app("demo") + " (Chrome, Edge or Firefox: Safari refuses Secure cookies on http) and sign in as Ada.",
		"Watch her access token: it lives for " + strconv.Itoa(int(w.TokenLife.Seconds())) + " seconds and is renewed behind the counter, " +
			"never in the browser.",
		"Open " + app("board") + ", " + app("notes") + " and " + app("docs") + ": none asks, for the provider knows you.",
		"A desktop app of the same sign-in, with one click: go run ./mobile-api/examples/desktop" + gateway + " login, then the same with watch.",
		"Five minutes after signing in, refund an order: the API wants a newer sign-in, and the refund waits for it.",
		"Sign out in one, and touch nothing: demo, board and the desktop app say at once that they are signed out, and why; notes and " +
			"docs, without a script, at the next click.",
		"The same by the provider's own end: sign in again, and open " + w.issuer() + "/end_session in a tab.",
		"A sign-in that begins elsewhere, as a portal's tile does: " + app("demo") + "/bff/initiate?iss=" + url.QueryEscape(w.issuer()) +
			"&login_hint=grace@example.com",
		"Look at what the browser holds in its developer tools: a cookie for each app that no script can read, and no token.",
		"What the gateway counts: curl -s http://" + at(w.Ports.Ops) + "/metrics | grep '^bff_.*_total'",
	}
}

// writeNotes tells what of the user's file is otherwise here.
func (w *world) writeNotes(b *strings.Builder) {
	var notes []string
	for _, what := range w.away {
		notes = append(notes, what+" is not used: cloakroom-dev brings its own")
	}
	for _, id := range appIDs(w.cfg) {
		if note := w.elsewhere(id); note != "" {
			notes = append(notes, note)
		}
	}
	if notes == nil {
		return
	}
	b.WriteString("\nPlease note:\n")
	for _, n := range notes {
		b.WriteString("  - " + n + "\n")
	}
}

// elsewhere says of an app at whose origin a browser does not find this gateway what to do about it; "" of any other.
func (w *world) elsewhere(id string) string {
	app := w.cfg.Apps[id]
	port := localPort(app.Origin)
	if app.Native() || port == strconv.Itoa(w.Ports.Gateway) {
		return ""
	}
	if app.Kind == "spa" && app.Static.Dir == "" && app.Static.URL == "" && port != "" { // a development server in front
		return fmt.Sprintf("apps.%s.origin %s: what answers there has to hand /bff/ and the API's paths on to http://%s",
			id, app.Origin, at(w.Ports.Gateway))
	}
	note := fmt.Sprintf("apps.%s.origin %s does not lead to this gateway: for trying, write http://%s.localhost:%d",
		id, app.Origin, id, w.Ports.Gateway)
	if port != "" {
		note += ", or start with --port " + port
	}
	return note
}

// localPort is the port of an origin that a browser finds on this machine; "" of any other origin.
func localPort(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" {
		return ""
	}
	host := u.Hostname()
	if host != "localhost" && !strings.HasSuffix(host, ".localhost") && !net.ParseIP(host).IsLoopback() {
		return ""
	}
	return u.Port()
}

// writeRegistrations tells what the user's own providers have to know.
func (w *world) writeRegistrations(b *strings.Builder) {
	told := false
	for _, id := range appIDs(w.cfg) {
		app := w.cfg.Apps[id]
		if w.cfg.Providers[app.Provider].Issuer == w.issuer() {
			continue
		}
		if !told {
			told = true
			b.WriteString("\nTo be registered, letter by letter:\n")
		}
		to := w.cfg.Registration(id)
		fmt.Fprintf(b, "  %s (client %s at %s)\n", id, app.ClientID, app.Provider)
		fmt.Fprintf(b, "    redirect (post-login)    %s\n", to.RedirectURI)
		fmt.Fprintf(b, "    post-logout redirect     %s\n", to.PostLogoutURI)
		fmt.Fprintf(b, "    back-channel logout      %s\n", to.BackchannelLogoutURI)
	}
}
