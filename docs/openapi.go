// Package docs is what of the documentation the gateway itself serves: the description of its endpoints, written in YAML for
// those who read and change it, served as JSON for programs. It knows the document's form and nothing of the gateway.
package docs

import (
	"bytes"
	_ "embed" // the description
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

//go:embed openapi.yaml
var description []byte

// somewhere stands in the description for the gateway's own origin.
const somewhere = "https://gateway.example.com"

// OpenAPI returns the description of all endpoints (OpenAPI 3.1) as JSON, its members in the order they are written in.
// gateway is the gateway's own origin, without a slash at its end: it is the default of that server's variable, and stands in
// the examples. An error means that the description is no YAML.
func OpenAPI(gateway string) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(description, &document); err != nil {
		return nil, fmt.Errorf("reading the description of the endpoints: %w", err)
	}
	var out bytes.Buffer
	if err := write(&out, &document, gateway); err != nil {
		return nil, fmt.Errorf("writing the description of the endpoints: %w", err)
	}
	return out.Bytes(), nil
}

// write appends a node as JSON. Aliases become what they stand for: JSON has none.
func write(out *bytes.Buffer, n *yaml.Node, gateway string) error {
	switch n.Kind {
	case yaml.DocumentNode:
		return write(out, n.Content[0], gateway)
	case yaml.AliasNode:
		return write(out, n.Alias, gateway)
	case yaml.MappingNode:
		return list(out, n, gateway, "{}")
	case yaml.SequenceNode:
		return list(out, n, gateway, "[]")
	default:
		return scalar(out, n, gateway)
	}
}

// list appends the items of a sequence, or names and values of a mapping, between two brackets.
func list(out *bytes.Buffer, n *yaml.Node, gateway, brackets string) error {
	out.WriteByte(brackets[0])
	for i, item := range n.Content {
		isName := n.Kind == yaml.MappingNode && i%2 == 0
		switch {
		case i > 0 && (isName || n.Kind == yaml.SequenceNode):
			out.WriteByte(',')
		case i > 0:
			out.WriteByte(':')
		}
		if isName { // a text, whatever it looks like: 200 too
			item = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: item.Value}
		}
		if err := write(out, item, gateway); err != nil {
			return err
		}
	}
	out.WriteByte(brackets[1])
	return nil
}

// scalar appends a text, number or truth value.
func scalar(out *bytes.Buffer, n *yaml.Node, gateway string) error {
	var value any
	if n.ShortTag() == "!!str" {
		value = strings.ReplaceAll(n.Value, somewhere, gateway)
	} else if err := n.Decode(&value); err != nil {
		return err
	}
	text, err := json.Marshal(value)
	out.Write(text)
	return err
}
