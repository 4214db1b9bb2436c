package config_test

import "testing"

func TestBadShape(t *testing.T) {
	runBad(t, []bad{
		{"a file with an unknown key", "redis: {", "pubic: {}\nredis: {", []string{
			"cloakroom.yaml:2: pubic: unknown key; did you mean public?",
		}},
		{"a file with a key of another tool", "kind: spa", "kind: spa\n    zzzzzzzz: 1", []string{
			"cloakroom.yaml:14: apps.web.zzzzzzzz: unknown key; known here are kind, origin, name, provider, client_id, client_secret, client_secret_file, client_keys, scopes, authorize, client_scopes, claims, session, login, post_logout, allowed_origins, redirect_uris, app_links, handle, static",
		}},
		{"a file with a key written twice", "    client_id: webc_1\n", "    client_id: webc_1\n    client_id: webc_9\n", []string{
			"cloakroom.yaml:17: apps.web.client_id: written twice, first in line 16; delete one of them",
		}},
		{"a file with a key without a value", "client_id: webc_1", "client_id:", []string{
			"cloakroom.yaml:16: apps.web.client_id: no value; give one or delete the line",
		}},
		{"a file with an anchor and its alias", "client_id: webc_1\n", "client_id: &id webc_1\n    post_logout: *id\n", []string{
			"cloakroom.yaml:16: apps.web.client_id: anchors and aliases are not read; write the value out",
			"cloakroom.yaml:17: apps.web.post_logout: anchors and aliases are not read; write the value out",
		}},
		{"a file with a merge key", "kind: spa", "kind: spa\n    <<: {origin: x}", []string{
			"cloakroom.yaml:14: apps.web.<<: merge keys are not read; write the values out",
		}},
		{"a file with a tag", "client_id: webc_1", "client_id: !!binary d2ViYw==", []string{
			"cloakroom.yaml:16: apps.web.client_id: tags are not read; write the plain value",
		}},
		{"a file with a list for a key", "apps:\n", "? [a, b]\n: c\napps:\n", []string{
			"cloakroom.yaml:11: a key that is no plain word",
		}},
		{"a file nested beyond all keys", "client_id: webc_1", "client_id: [[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]", []string{
			"cloakroom.yaml:16: apps.web.client_id: not a single value; write one value and no list or group",
			"cloakroom.yaml:16: apps.web.client_id[0][0][0][0][0][0][0][0][0][0][0][0][0][0]: nested too deeply; no key is",
		}},
		{"a file with a null in a list", "methods: [GET, POST]", "methods: [GET, null, PUSH]", []string{
			"cloakroom.yaml:27: routes[0].methods[1]: no value; give one or delete the line",
			"cloakroom.yaml:27: routes[0].methods[2]: not one of the values known here; write one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
		}},
		{"a file with broken YAML", "apps:\n", "apps: [\n", []string{
			"cloakroom.yaml:13: did not find expected ',' or ']'; the file is no valid YAML from here on",
		}},
		{"a file with a second document", "routes:\n", "---\nroutes:\n", []string{
			"cloakroom.yaml:1: not one YAML document in UTF-8; a configuration file holds exactly one, not none and not several",
		}},
		{"a list where a group belongs", "redis: {addrs: [redis:6379]}", "redis: [redis:6379]", []string{
			"cloakroom.yaml:2: redis: not a group; write its keys under it",
		}},
		{"a word where a list belongs", "methods: [GET, POST]", "methods: GET", []string{
			"cloakroom.yaml:27: routes[0].methods: not a list; write [one, two], also for a single value",
		}},
		{"a group where a word belongs", "client_id: webc_1", "client_id: {is: webc_1}", []string{
			"cloakroom.yaml:16: apps.web.client_id: not a single value; write one value and no list or group",
		}},
		{"a word where an app belongs", "  phone:\n    kind: mobile\n    provider: main\n    client_id: webc_2\n    client_secret_file: phone\n    redirect_uris: [\"com.example.app:/signed-in\"]\n", "  phone: mobile\n", []string{
			"cloakroom.yaml:18: apps.phone: not a group; write its keys under it",
		}},
		{"a route that is a word", "    methods: [GET, POST]\n", "    methods: [GET, POST]\n  - /api/other\n", []string{
			"cloakroom.yaml:28: routes[1]: not a group; write its keys under it",
		}},
		{"a duration without a unit", "kind: spa", "kind: spa\n    session: {idle: 30}", []string{
			"cloakroom.yaml:14: apps.web.session.idle: no duration; write a number with its unit, as 30s, 15m or 12h",
		}},
		{"a negative duration", "kind: spa", "kind: spa\n    session: {idle: -30s}", []string{
			"cloakroom.yaml:14: apps.web.session.idle: a negative duration; write 0s or more",
		}},
		{"a switch that is neither true nor false", "redis: {", "redis: {pipeline: yes, ", []string{
			"cloakroom.yaml:2: redis.pipeline: neither true nor false; write one of the two",
		}},
		{"a number that is none", "redis: {", "redis: {db: one, ", []string{
			"cloakroom.yaml:2: redis.db: no whole number",
		}},
		{"a size in an unknown unit", "methods: [GET, POST]", "methods: [GET, POST]\n    body_bytes: 10MB", []string{
			"cloakroom.yaml:28: routes[0].body_bytes: no size; write a number of bytes, or with a unit as 64KiB or 10MiB",
		}},
	})
}
