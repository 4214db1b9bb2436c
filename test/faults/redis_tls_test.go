//go:build integration

package faults_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cloakroom/test/browser"
	"cloakroom/test/gateway"
	"cloakroom/test/redisproc"
	"cloakroom/test/world"
)

const redisPassword = "the-password-of-the-gateway-at-redis"

// documentedUser is the ACL rule that docs/operations.md tells operators to set, with a password.
func documentedUser(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile("(?s)```\\s*ACL SETUSER (cloakroom .*?)```").FindSubmatch(text)
	if found == nil {
		t.Fatal("docs/operations.md names no user of Redis")
	}
	return strings.Replace(strings.Join(strings.Fields(string(found[1])), " "), ">PASSWORD", ">"+redisPassword, 1)
}

// secureRedis makes a world on a Redis that speaks TLS to who has a certificate, for one user.
func secureRedis(t *testing.T, user string) (*world.World, *redisproc.TLS) {
	t.Helper()
	certificates := redisproc.NewTLS(t)
	certificates.RequireClient = true
	return newWorld(t, world.Options{Redis: redisproc.Options{TLS: certificates, Users: []string{user}}}), certificates
}

// bySecureRedis is how an instance reaches it, trusting the authority in a file.
func bySecureRedis(c *redisproc.TLS, ca string) []string {
	return []string{
		"CLOAKROOM_REDIS__TLS__ENABLED=true", "CLOAKROOM_REDIS__TLS__CA_FILE=" + ca,
		"CLOAKROOM_REDIS__TLS__CERT_FILE=" + c.ClientCertFile, "CLOAKROOM_REDIS__TLS__KEY_FILE=" + c.ClientKeyFile,
		"CLOAKROOM_REDIS__USERNAME=cloakroom", "CLOAKROOM_REDIS__PASSWORD=" + redisPassword,
	}
}

// A whole journey with nothing but what the documentation grants, over TLS, with a certificate of the gateway's own.
//
// shows KEY-REDIS
func TestJourneyOverTLSAsTheDocumentedUser(t *testing.T) {
	t.Parallel()
	w, certificates := secureRedis(t, documentedUser(t))
	w.Scan.Secret("redis-password", redisPassword)
	instances := w.Start(2, bySecureRedis(certificates, certificates.CAFile)...)
	b := w.Browser()
	w.SignIn(b, "/")
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	ended(w)
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	if got := w.Dev.GrantCount("refresh_token"); got != 1 {
		t.Errorf("%d refreshes, want 1", got)
	}
	w.Want(w.Fetch(b, "POST", "/bff/session/extend", ""), 200)
	w.At(instances[1])
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 200)
	w.Want(w.Fetch(b, "POST", "/bff/logout", ""), 200)
	w.Want(w.Fetch(b, "GET", "/api/orders", ""), 401)
	for _, in := range instances {
		if check := readiness(t, in); strings.HasPrefix(check, "down") || strings.Contains(check, "TLS") || strings.Contains(check, "default user") {
			t.Errorf("readiness says of a good Redis: %s", check)
		}
		if strings.Contains(in.Log(), "NOPERM") {
			t.Error("a command was refused to the documented user")
		}
	}
	w.Leaks()
}

// readiness is what /readyz says of Redis.
func readiness(t *testing.T, in *gateway.Instance) string {
	t.Helper()
	status, body := ask(t, in, "/readyz")
	var ready struct{ Checks map[string]string }
	if err := json.Unmarshal([]byte(body), &ready); err != nil || status != 200 {
		t.Fatalf("/readyz: %d %s (%v)", status, body, err)
	}
	return ready.Checks["redis"]
}

// What is wrong between the gateway and Redis is told at the start and by /readyz, and costs 503, never a sign-out.
//
// shows KEY-REDIS, SESS-503
func TestRedisThatDoesNotTrustOrIsNotTrusted(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		env  func(c *redisproc.TLS, other string) []string
		told string // an expression that the log meets
	}{
		"a certificate of an unknown authority": {
			env:  func(c *redisproc.TLS, other string) []string { return bySecureRedis(c, other) },
			told: "certificate",
		},
		"a wrong password": {
			env: func(c *redisproc.TLS, _ string) []string {
				return append(bySecureRedis(c, c.CAFile), "CLOAKROOM_REDIS__PASSWORD=another")
			},
			told: "WRONGPASS",
		},
		"no TLS where it is asked for": {
			env: func(*redisproc.TLS, string) []string {
				return []string{"CLOAKROOM_REDIS__USERNAME=cloakroom", "CLOAKROOM_REDIS__PASSWORD=" + redisPassword}
			},
			told: "reset by peer|EOF",
		},
	} {
		t.Run("a Redis with "+name, func(t *testing.T) {
			t.Parallel()
			w, certificates := secureRedis(t, documentedUser(t))
			in := w.Start(1, row.env(certificates, redisproc.NewTLS(t).CAFile)...)[0]
			in.AwaitLog(`"msg":"Redis cannot be reached`)
			if check := readiness(t, in); !strings.HasPrefix(check, "down") {
				t.Errorf("readiness says: %s", check)
			}
			unavailable(t, w.Fetch(withCookie(t, w), "GET", "/api/orders", ""), `"code":"store_unavailable"`)
			await(t, "the log says "+row.told, healTime, func() bool { return regexp.MustCompile(row.told).MatchString(in.Log()) })
			if strings.Contains(in.Log(), redisPassword) {
				t.Error("the log holds the password")
			}
		})
	}
}

// A user that lacks one command can do the rest: what needs it is 503, and the log names the command.
//
// shows KEY-REDIS
func TestRedisUserWithoutACommand(t *testing.T) {
	t.Parallel()
	user := strings.Replace(documentedUser(t), " +evalsha", "", 1)
	user = strings.Replace(user, " +eval", "", 1)
	w, certificates := secureRedis(t, user)
	in := w.Start(1, bySecureRedis(certificates, certificates.CAFile)...)[0]
	w.Want(w.Fetch(withCookie(t, w), "GET", "/api/orders", ""), 401) // reading is no script
	b := w.Browser()
	page, err := b.Click(browser.At(world.Origin+"/"), world.Origin+"/bff/login?return_to=/")
	if err != nil {
		t.Fatal(err)
	}
	unavailable(t, w.OP.SignIn(t, b, page), "store_unavailable")
	in.AwaitLog("NOPERM")
	in.AwaitLog("'evalsha'") // the command
}
