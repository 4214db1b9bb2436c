package surface_test

import (
	"encoding/json"
	"testing"
	"time"

	"cloakroom/bff"
	"cloakroom/surface"
)

// shows SESS-INFO
func TestSessionAnswers(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	root, err := bff.RootFromBytes(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	full := &bff.Session{
		Root: root, Lookup: root.Lookup(), App: "web", CreatedAt: now.Add(-time.Hour).In(time.FixedZone("x", 3600)), LastActive: now,
		AbsoluteEnd: now.Add(90*time.Second + time.Millisecond), Idle: time.Minute,
		Identity: bff.Identity{Subject: "ann", SID: "sid-1", ACR: "gold", AuthTime: now, Claims: []byte(`{"sub":"ann","secret":"s","name":"A"}`)},
		Tokens:   bff.TokenSet{Access: bff.NewSecret("at"), ID: bff.NewSecret("it")},
	}
	bare := &bff.Session{Root: root, Lookup: root.Lookup(), CreatedAt: now, LastActive: now.Add(-time.Hour), AbsoluteEnd: now.Add(-time.Hour)}
	late := &bff.Session{Root: root, Lookup: root.Lookup(), CreatedAt: now, LastActive: now, AbsoluteEnd: now.Add(time.Minute), Idle: time.Hour}
	nested := &bff.Session{
		Root: root, Lookup: root.Lookup(), CreatedAt: now, LastActive: now, AbsoluteEnd: now.Add(time.Minute), Idle: time.Minute,
		Identity: bff.Identity{Claims: []byte(`{"app":{"plan":{"name":"gold"},"note":"internal"},"realm":{"roles":["internal"]},"profile":{"email":"x"}}`)},
	}
	id := root.Lookup().ID()
	for _, row := range []struct {
		of      string
		session *bff.Session
		logout  string
		want    string
	}{
		{"nobody", nil, "/x", `{"authenticated":false}`},
		{"a user", full, "/out", `{"authenticated":true,"user":{"name":"A","sub":"ann"},"session":{"id":"` + id + `","created_at":"2026-05-01T11:00:00Z","expires_in":90,"idle_expires_in":60,"acr":"gold","auth_time":1777636800},"logout_url":"/out"}`},
		{"a session of little", bare, "", `{"authenticated":true,"user":{},"session":{"id":"` + id + `","created_at":"2026-05-01T12:00:00Z","expires_in":0,"idle_expires_in":0}}`},
		{"a user of claims inside objects", nested, "", `{"authenticated":true,"user":{"app.plan":{"name":"gold"}},"session":{"id":"` + id + `","created_at":"2026-05-01T12:00:00Z","expires_in":60,"idle_expires_in":60}}`},
		{"a session whose absolute end comes first", late, "", `{"authenticated":true,"user":{},"session":{"id":"` + id + `","created_at":"2026-05-01T12:00:00Z","expires_in":60,"idle_expires_in":60}}`},
	} {
		got, err := json.Marshal(surface.SessionAnswer(&bff.App{Claims: []string{"sub", "name", "email", "app.plan", "app.none"}}, row.session, now, row.logout))
		if err != nil || string(got) != row.want {
			t.Errorf("of %s: %s, want %s: %v", row.of, got, row.want, err)
		}
	}
}
