package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"cloakroom/idp"
	"cloakroom/server/config"
)

// onlineMost bounds the whole of check --online: a provider that hangs costs each of its steps http_timeout, which is ten
// seconds by default, and there are three, one after the other.
const onlineMost = 45 * time.Second

// asksAtOnce bounds how many apps are asked about at one time: a provider counts what comes from one address.
const asksAtOnce = 4

// checkOnline asks Redis and the providers, all of them, before it says what is wrong.
func (s *Server) checkOnline(w *world) error {
	ctx, cancel := context.WithTimeout(w.ctx, onlineMost)
	defer cancel()
	warnings, err := s.store.CheckServer(ctx)
	problems := []error{tellCheck(w.stdout, "Redis", err)}
	for _, text := range warnings {
		fmt.Fprintln(w.stdout, "note: Redis:", text)
	}
	names := sortedKeys(s.idps)
	said := make([][]told, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { said[i] = s.probe(ctx, s.idps[name]) })
	}
	all.Wait()
	for _, t := range slices.Concat(said...) {
		problems = append(problems, t.tell(w.stdout))
	}
	return errors.Join(problems...)
}

func tellCheck(out io.Writer, what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	fmt.Fprintln(out, what, "answers")
	return nil
}

// told is a finding and what it is about.
type told struct {
	about string // "provider main", "app web"
	idp.Finding
}

// tell writes what is good or only worth a note, and returns what is wrong.
func (t told) tell(out io.Writer) error {
	switch t.Grade {
	case idp.Wrong:
		return fmt.Errorf("%s: %s", t.about, t.Text)
	case idp.Note:
		fmt.Fprintf(out, "note: %s: %s\n", t.about, t.Text)
	default:
		fmt.Fprintf(out, "%s: %s\n", t.about, t.Text)
	}
	return nil
}

// probe asks one provider, and then for each of its apps whether it knows the app.
func (s *Server) probe(ctx context.Context, p *provider) (all []told) {
	about := "provider " + p.name
	survey := p.issuer.Probe(ctx)
	for _, f := range survey.Findings {
		all = append(all, told{about, f})
	}
	apps := sortedKeys(p.clients)
	if !survey.Usable {
		if len(apps) > 0 {
			all = append(all, told{about, idp.Finding{
				Grade: idp.Note, Text: "nothing was asked about " + appNames(apps) + ": first the metadata has to be right",
			}})
		}
		return all
	}
	for _, text := range slices.Concat(missing(s.cfg.Providers[p.name], survey), unannounced(s.cfg, p.name, survey)) {
		all = append(all, told{about, idp.Finding{Grade: idp.Note, Text: text}})
	}
	said := make([][]told, len(apps))
	places := make(chan struct{}, asksAtOnce)
	var running sync.WaitGroup
	for i, id := range apps {
		running.Go(func() {
			places <- struct{}{}
			said[i] = s.probeApp(ctx, id, p.clients[id])
			<-places
		})
	}
	running.Wait()
	return append(all, slices.Concat(said...)...)
}

// probeApp asks what one app can be told of, and names what cannot be asked.
func (s *Server) probeApp(ctx context.Context, id string, c *idp.Client) (all []told) {
	add := func(f idp.Finding) { all = append(all, told{"app " + id, f}) }
	client, err := c.Probe(ctx)
	if errors.Is(err, idp.ErrClient) {
		client.Text += "; " + s.whereFrom(id)
	}
	add(client)
	add(c.ProbeRedirect(ctx, err == nil))
	to := s.cfg.Registration(id)
	// An end_session without a session shows the same page whatever it is given, and no provider tells where it sends logout
	// tokens to.
	add(idp.Finding{Grade: idp.Note, Text: "cannot be asked, so see that it is registered: post-logout redirect " + to.PostLogoutURI +
		", back-channel logout " + to.BackchannelLogoutURI})
	a := s.cfg.Apps[id]
	if s.cfg.Providers[a.Provider].Preset == "scalekit" && strings.HasPrefix(to.RedirectURI, "http:") {
		add(idp.Finding{Grade: idp.Note, Text: to.RedirectURI + " is for a development environment: Scalekit's production environments " +
			"take https alone, and no localhost"})
	}
	if !slices.Contains(a.Scopes, "offline_access") && s.cfg.Providers[a.Provider].Preset != "keycloak" && // which gives one without
		a.Authorize["access_type"] != "offline" { // as Google is asked for one
		add(idp.Finding{Grade: idp.Note, Text: "scopes (" + strings.Join(a.Scopes, " ") + ") lack offline_access: where the provider " +
			"gives no refresh token without it, a session is as long as its access token"})
	}
	return all
}

// whereFrom says where an app's client id and secret or keys stand: never what they are.
func (s *Server) whereFrom(id string) string {
	at := "apps." + id + "."
	if len(s.cfg.Apps[id].ClientKeys) > 0 {
		return fmt.Sprintf("client_id is from %s; the provider fetches the keys from %s, so the gateway has to be reachable for it",
			s.cfg.Origin(at+"client_id"), s.cfg.Registration(id).JWKSURI)
	}
	return fmt.Sprintf("client_id is from %s, the secret from %s", s.cfg.Origin(at+"client_id"), s.cfg.Origin(at+"client_secret"))
}

// missing tells what of sign-out the metadata does not promise.
func missing(p *config.Provider, s *idp.Survey) (notes []string) {
	if !s.EndSession {
		notes = append(notes, "it has no end_session_endpoint: signing out ends the sessions of its apps here, and the provider may sign "+
			"the user in again without asking")
	}
	if p.Preset == "scalekit" { // which announces neither, and sends logout tokens with the one sid of all its clients
		return notes
	}
	if !s.BackchannelLogout {
		notes = append(notes, "it does not announce back-channel logout (backchannel_logout_supported): a sign-out at the provider itself "+
			"reaches an app only when its tokens are renewed, unless the URL can be registered all the same")
	}
	if sid := s.BackchannelSID || slices.Contains(s.Claims, "sid"); p.SSOBy == "sid" && !sid {
		return append(notes, "sso_by is sid, and its metadata promises no sid: where ID tokens come without one, each session stands "+
			"alone and signing out of one app leaves the others; sso_by: sub+auth_time ties them without")
	}
	if p.Preset == "generic" && p.SSOBy == "sid" {
		notes = append(notes, "sso_by is sid, and that all apps are given the same sid cannot be asked: where each is given its own, as by "+
			"oidc-provider, signing out of one app leaves the others; try it with two, or set sso_by: sub+auth_time")
	}
	if p.SSOBy == "sub+auth_time" && len(s.Claims) > 0 && !slices.Contains(s.Claims, "auth_time") {
		notes = append(notes, "sso_by is sub+auth_time, and its metadata promises no auth_time: where ID tokens come without one, each "+
			"session stands alone; sso_by: sub ties all sessions of a user")
	}
	return notes
}

// apart tells of apps that cannot share a sign-in, though they stand in one configuration: what people take for a defect
// when they are asked to sign in at each.
func apart(cfg *config.Config) (notes []string) {
	apps := make(map[string][]string) // by provider
	for _, id := range sortedKeys(cfg.Apps) {
		apps[cfg.Apps[id].Provider] = append(apps[cfg.Apps[id].Provider], id)
	}
	names := sortedKeys(apps)
	for i, a := range names {
		for _, b := range names[i+1:] {
			notes = append(notes, fmt.Sprintf("%s of provider %s (%s) and %s of provider %s (%s) share no session: one sign-in opens, and one "+
				"sign-out closes, the apps of one provider%s", appNames(apps[a]), a, cfg.Providers[a].Issuer, appNames(apps[b]), b,
				cfg.Providers[b].Issuer, sameHost(cfg.Providers[a].Issuer, cfg.Providers[b].Issuer)))
		}
	}
	return notes
}

// sameHost adds what two issuers that may be one provider suggest.
func sameHost(a, b string) string {
	ua, errA := url.Parse(a)
	ub, errB := url.Parse(b)
	if errA != nil || errB != nil || !strings.EqualFold(ua.Hostname(), ub.Hostname()) ||
		!strings.EqualFold(strings.TrimSuffix(ua.Path, "/"), strings.TrimSuffix(ub.Path, "/")) {
		return ""
	}
	return "; these two look like one: if they are, let all apps name one of them"
}

// appNames is "app a" or "apps a, b".
func appNames(ids []string) string {
	if len(ids) == 1 {
		return "app " + ids[0]
	}
	return "apps " + strings.Join(ids, ", ")
}
