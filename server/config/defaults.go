package config

import "slices"

// The defaults, written as they would be in the file. Their reasons stand with
// the fields; those of the bare numbers stand here.

// baseDefaults are those of the groups that exist once.
const baseDefaults = `
public:
  listen: ":8080"
  limits:
    header_bytes: 32KiB    # five transaction cookies, a session cookie and a long query fit four times
    body_bytes: 10MiB      # an upload of a photograph, not of a film
    connections: 0
  timeouts:
    read_header: 10s
    idle: 120s             # longer than the 60 s most load balancers keep a connection
    drain: 25s             # Kubernetes kills 30 s after its signal
ops: {listen: "127.0.0.1:9090"}
log: {level: info}
redis:
  cluster: false
  db: 0
  key_prefix: "cr:"
  pool_size: 0
  read_retries: 2
  pipeline: false
  wait_replicas: 0
  wait_timeout: 200ms
  tls: {enabled: false}
  timeouts: {dial: 1s, read: 500ms, write: 500ms, pool_wait: 1s}
limits:
  sign_in: {count: 5, per: 1s, burst: 200}
  token: {count: 50, per: 1s, burst: 1000}
  backchannel: {count: 5, per: 1s, burst: 200}
  frontchannel: {count: 5, per: 1s, burst: 200}
  shared: true
`

// providerDefaults are those of each provider, after its preset.
const providerDefaults = `
preset: generic
insecure_http: false
signing_algs: [RS256, PS256, ES256, EdDSA]
sso_by: sid
sid: optional
access_token: opaque
scopes: [openid, profile, email, offline_access]
prompts: [none, login, consent, select_account, create]
login_params: [prompt, login_hint, max_age, acr_values, ui_locales]
spent: []
grace: 0s
revocation: grant
revocable: false
userinfo: false
pkce: require
iss_unannounced: accept
assertion_audience: issuer
assertion_typ: client-authentication+jwt
assertion_rsa: PS256
dpop: off
logout: redirect
logout_by: redirect
logout_exp: required
strict_typ: false
logout_token_revokes: online
frontchannel_logout: false
clock_skew: 60s
http_timeout: 10s
refresh_timeout: 20s       # twice http_timeout: a lost answer costs a session
default_token_life: 60s    # short: an unknown life should be asked for again soon
`

// appDefaults are those of every app, browserDefaults and nativeDefaults those of
// its kind.
const (
	appDefaults = `
claims: [sub, name, email, picture]
session: {idle: 30m, absolute: 12h, recent: 10m, most: 0}
login:
  params:
    acr_values: []
    login_hint: true
    max_age: true
    ui_locales: true
    organization_id: true
    connection_id: true
    social_provider: true
    domain_hint: true
`
	browserDefaults = `
login: {initiate: false, default_return: /}
post_logout: /
`
	nativeDefaults = `
session: {idle: 336h, absolute: 2160h}    # two weeks in a drawer, and a sign-in each quarter
handle: {dpop: off, grace: 30s, access_life: 15m}
post_logout: ""
`
)

// sameSiteDefault is by kind: pages that a server renders are reached by links
// from elsewhere, where a Strict cookie would not be sent.
func sameSiteDefault(kind string) string {
	if kind == "web" {
		return `session: {same_site: lax}`
	}
	return `session: {same_site: strict}`
}

// routeDefaults are those of each route.
const routeDefaults = `
token: user
kind: api
strip_prefix: false
timeout: 30s
stream_timeout: 0s
concurrent: 0
trailers: false
guard: header
websocket: false
external: false
insecure_http: false
`

// upstreamDefaults are those of each upstream.
const upstreamDefaults = `
protocol: auto
health: {every: 5s, timeout: 2s}    # whoever needs longer to say that it is well is not
attempts: 3
connections: 0
idle_connections: 256    # Go's two would have every burst open and close its connections
timeouts: {connect: 5s, tls: 5s, stall: 60s, idle: 90s}
breaker: {failures: 5, open: 5s}
`

// limitDefaults are those of each limit of a route.
const limitDefaults = `
per: 1s
shared: false
`

// layerOf reads one of the texts above, which the tests load.
func layerOf(text string) *value {
	if text == "" {
		return newMapping(source{})
	}
	r := &report{file: "default", sources: map[string]source{}}
	return r.parse([]byte(text))
}

// fillDefaults adds what neither file, environment nor preset says.
func fillDefaults(tree *value, env []string) {
	here := source{layer: fromDefault}
	if port := lookup(env, "PORT"); port != "" {
		// What many platforms set to say where a process should listen.
		public := newMapping(here)
		public.set("listen", newScalar(":"+port, here))
		base := newMapping(here)
		base.set("public", public)
		tree.fill(base, source{layer: fromEnv, name: "PORT"})
	}
	tree.fill(layerOf(baseDefaults), here)
	eachGroup(tree.get("providers"), func(p *value) { p.fill(layerOf(providerDefaults), here) })
	eachGroup(tree.get("apps"), func(a *value) { fillApp(tree, a, here) })
	eachGroup(tree.get("upstreams"), func(u *value) { u.fill(layerOf(upstreamDefaults), here) })
	eachGroup(tree.get("routes"), func(route *value) {
		route.fill(layerOf(routeDefaults), here)
		eachGroup(route.get("limits"), func(l *value) {
			l.fill(layerOf(limitDefaults), here)
			inherit(l, "burst", l.get("count"))
		})
		inherit(route, "body_bytes", tree.get("public").get("limits").get("body_bytes"))
		inherit(route, "header_bytes", tree.get("public").get("limits").get("header_bytes"))
	})
}

func fillApp(tree, app *value, here source) {
	switch kind := app.word("kind"); kind {
	case "spa", "web":
		app.fill(layerOf(browserDefaults), here)
		app.fill(layerOf(sameSiteDefault(kind)), here)
	case "mobile", "desktop":
		app.fill(layerOf(nativeDefaults), here)
	}
	app.fill(layerOf(appDefaults), here)
	provider := tree.get("providers").get(app.word("provider"))
	inherit(app, "scopes", provider.get("scopes"))
	inherit(app, "authorize", provider.get("authorize"))
	inheritEach(app.get("authorize"), provider.get("authorize"))
	inherit(app.get("login").get("params"), "prompt", provider.get("prompts"))
}

// inherit takes a value from elsewhere in the configuration, with its origin.
func inherit(v *value, key string, from *value) {
	if v != nil && v.form == mapping && from != nil && v.get(key) == nil {
		here := from.at
		here.inherited = true
		v.set(key, from.copyAs(here))
	}
}

// inheritEach takes each value of a group that this one does not name.
func inheritEach(v, from *value) {
	if from == nil {
		return
	}
	for _, key := range from.keys {
		inherit(v, key, from.fields[key])
	}
}

// eachGroup visits the groups in a mapping or list.
func eachGroup(v *value, visit func(*value)) {
	if v == nil {
		return
	}
	children := slices.Clone(v.items)
	for _, key := range v.keys {
		children = append(children, v.fields[key])
	}
	for _, child := range children {
		if child.form == mapping {
			visit(child)
		}
	}
}
