package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom/server/config"
)

func TestBadRates(t *testing.T) {
	const methods = "    methods: [GET, POST]\n"
	runBad(t, []bad{
		{"a limit of a route by nothing", methods, methods + "    limits:\n      - {count: 5}\n", []string{
			"cloakroom.yaml:29: routes[0].limits[0].by: not one of the values known here; write one of address, session, route",
		}},
		{"a limit by something else", methods, methods + "    limits:\n      - {by: address, count: 5}\n      - {by: ip, count: 5}\n", []string{
			"cloakroom.yaml:30: routes[0].limits[1].by: not one of the values known here; write one of address, session, route",
		}},
		{"a limit without a count", methods, methods + "    limits:\n      - {by: route}\n", []string{
			"cloakroom.yaml:29: routes[0].limits[0].count: missing; write how many may pass in each per",
		}},
		{"limits that let nobody through", methods, methods + "    limits:\n      - {by: route, count: 0}\n      - {by: address, count: -1, burst: 0}\n", []string{
			"cloakroom.yaml:29: routes[0].limits[0].count: out of bounds; write something from 1 to 1000000",
			"cloakroom.yaml:30: routes[0].limits[1].burst: out of bounds; write something from 1 to 1000000",
			"cloakroom.yaml:30: routes[0].limits[1].count: out of bounds; write something from 1 to 1000000",
		}},
		{"a count that is no number", methods, methods + "    limits:\n      - {by: route, count: often, burst: 3}\n", []string{
			"cloakroom.yaml:29: routes[0].limits[0].count: no whole number",
		}},
		{"a limit for no time", methods, methods + "    limits:\n      - {by: route, count: 1, per: 0s}\n", []string{
			"cloakroom.yaml:29: routes[0].limits[0].per: out of bounds; write something from 1ms to 744h",
		}},
		{"a limit whose burst takes a year to come back", methods, methods + "    limits:\n      - {by: route, count: 1, per: 24h, burst: 365}\n", []string{
			"cloakroom.yaml:29: routes[0].limits[0].burst: takes more than 744h to be free again; write a smaller one",
		}},
		{"a limit by session where none is looked at", methods, methods + "    token: none\n    limits:\n      - {by: session, count: 1}\n", []string{
			"cloakroom.yaml:30: routes[0].limits[0].by: no session is looked at with token: none; write by: address, or token: user-or-none",
		}},
		{"two limits by the same", methods, methods + "    limits:\n      - {by: session, count: 1}\n      - {by: session, count: 60, per: 1m}\n      - {by: session, count: 2}\n", []string{
			"cloakroom.yaml:31: routes[0].limits[2]: the second by session for the same time; delete one of them",
		}},
		{"limits that are no list", methods, methods + "    limits: {by: session, count: 1}\n", []string{
			"cloakroom.yaml:28: routes[0].limits: not a list; write [one, two], also for a single value",
		}},
		{"a key of another limit", methods, methods + "    limits:\n      - {by: route, count: 1, window: 1s}\n", []string{
			"cloakroom.yaml:29: routes[0].limits[0].window: unknown key; known here are by, count, per, burst, shared",
		}},
		{"rates that let nobody through", "routes:\n", "limits:\n  sign_in: {count: 0}\n  token: {per: 0s}\n  backchannel: {burst: -1}\n  frontchannel: 5\nroutes:\n", []string{
			"cloakroom.yaml:25: limits.sign_in.count: out of bounds; write something from 1 to 1000000",
			"cloakroom.yaml:26: limits.token.per: out of bounds; write something from 1ms to 744h",
			"cloakroom.yaml:27: limits.backchannel.burst: out of bounds; write something from 1 to 1000000",
			"cloakroom.yaml:28: limits.frontchannel: not a group; write its keys under it",
		}},
	})
}

func TestRatesAndTheirDefaults(t *testing.T) {
	text := edit(t, base, "    methods: [GET, POST]\n", "    methods: [GET, POST]\n    limits: [{by: address, count: 10, shared: true}, {by: route, count: 6, per: 1m, burst: 3}]\n")
	text = edit(t, text, "routes:\n", "limits: {sign_in: {count: 9}, shared: false}\nroutes:\n")
	dir := folder(t, nil)
	c := loaded(t, dir, text)
	second := func(count, burst int) config.Rate { return config.Rate{Count: count, Per: time.Second, Burst: burst} }
	want := config.RateLimits{
		SignIn: second(9, 200), Token: second(50, 1000), Backchannel: second(5, 200), Frontchannel: second(5, 200),
	}
	if diff := cmp.Diff(want, c.Limits); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
	wantRoute := []*config.RouteLimit{
		{By: "address", Count: 10, Per: time.Second, Burst: 10, Shared: true}, {By: "route", Count: 6, Per: time.Minute, Burst: 3},
	}
	if diff := cmp.Diff(wantRoute, c.Routes[0].Limits); diff != "" {
		t.Errorf("limits of the route (-want +got):\n%s", diff)
	}
	d := loaded(t, dir, base).Limits
	if !d.Shared || d.Token.Count < 10*d.SignIn.Count || d.Token.Burst < 5*d.SignIn.Burst { // phones come more often than people
		t.Errorf("the defaults are %+v", d)
	}
}

func loaded(t *testing.T, dir, text string) *config.Config {
	t.Helper()
	c, err := load(t, dir, text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
