package config_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// bad is one change to base and what it has to be told.
type bad struct {
	name     string
	old, new string
	want     []string
}

func runBad(t *testing.T, tests []bad) {
	t.Helper()
	dir := folder(t, map[string]string{
		"empty": "", "zero": base64.RawURLEncoding.EncodeToString(make([]byte, 32)),
		"short": base64.RawURLEncoding.EncodeToString([]byte("changeme")),
		"text":  base64.RawURLEncoding.EncodeToString([]byte("correct horse battery staple 123")),
		"count": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
		"std":   strings.Repeat("+/", 21) + "8", "hex": strings.Repeat("0f", 32),
		"two": keyText("a") + "\n" + keyText("b") + "\n", "k1pad": keyText("k1") + "=",
		"example": "changeme\n", "pem": "no certificate",
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := problems(t, dir, edit(t, base, tt.old, tt.new))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		})
	}
}
