package provider_test

import (
	"net/http"
	"testing"

	"cloakroom/dev/provider"
)

// A page whose name was made to point at this machine is of the provider's origin to a browser, and is not answered.
func TestUnderWhichNamesTheProviderAnswers(t *testing.T) {
	p, err := provider.New(provider.Config{Origin: "http://idp.test:8090", InsecureListen: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	for host, want := range map[string]int{
		"127.0.0.1:8090": 200, "localhost": 200, "a.LOCALHOST:1": 200, "[::1]:8090": 200, "[::1]": 200, "192.0.2.7": 200, "IDP.test:8090": 200,
		"evil.example": 421, "evil.example:8090": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "xlocalhost": 421,
	} {
		req, err := http.NewRequest("GET", "http://"+p.Address()+"/.well-known/openid-configuration", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("a request to %s: %d, want %d", host, res.StatusCode, want)
		}
	}
}
