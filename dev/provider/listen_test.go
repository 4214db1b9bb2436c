package provider_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"cloakroom/dev/provider"
)

func TestListeningForOthersHasToBeAskedFor(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		p, err := provider.New(provider.Config{Origin: "http://127.0.0.1:8090"})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Start(addr); !errors.Is(err, provider.ErrNotLoopback) {
			t.Errorf("%s: %v", addr, err)
		}
		p.Close()
	}
}

// In a container the provider listens on all addresses, and its name is the one by which it is reached.
func TestAnIssuerOfItsOwnStandsEverywhere(t *testing.T) {
	p, err := provider.New(provider.Config{Origin: "http://127.0.0.1:8090", IssuerPath: "/idp", InsecureListen: true})
	if err != nil {
		t.Fatal(err)
	}
	var bound string
	if err := p.Start("0.0.0.0:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if bound = p.Address(); !strings.HasPrefix(bound, "0.0.0.0:") {
		t.Errorf("listens on %s", bound)
	}
	_, port, _ := strings.Cut(bound, ":")
	res, err := http.Get("http://127.0.0.1:" + port + "/idp/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	doc, err := io.ReadAll(res.Body)
	if err != nil || p.Issuer() != "http://127.0.0.1:8090/idp" || strings.Contains(string(doc), port) ||
		!strings.Contains(string(doc), `"http://127.0.0.1:8090/idp/oauth/token"`) {
		t.Errorf("%v\n%s", err, doc)
	}
}
