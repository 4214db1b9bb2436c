package openapi_test

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"cloakroom/docs"
)

// load reads the description as the gateway serves it.
func load(t *testing.T) *openapi3.T {
	t.Helper()
	text, err := docs.OpenAPI("https://gw.example.com")
	if err != nil {
		t.Fatal(err)
	}
	d, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTheDescriptionIsValid(t *testing.T) {
	d := load(t)
	if !d.IsOpenAPI31OrLater() {
		t.Error(d.OpenAPI)
	}
	if err := d.Validate(t.Context(), openapi3.EnableMultiError()); err != nil {
		t.Fatal(err)
	}
}
