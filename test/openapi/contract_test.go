package openapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// operation finds what a request is of: the operation, its route and the parameters of its path; nil if it is of none.
func (c *contract) operation(server, method, path string) (*routers.Route, map[string]string) {
	best, params := (*routers.Route)(nil), map[string]string(nil)
	for pattern, item := range c.d.Paths.Map() {
		found, ok := matches(pattern, path)
		op := item.GetOperation(method)
		if !ok || op == nil || !slices.ContainsFunc(item.Servers, func(s *openapi3.Server) bool { return s.URL == server }) {
			continue
		}
		if best == nil || len(found) < len(params) { // a path without variables is the better one
			best, params = &routers.Route{Spec: c.d, Path: pattern, PathItem: item, Method: method, Operation: op}, found
		}
	}
	return best, params
}

// matches fits a path to a pattern, segment by segment.
func matches(pattern, path string) (map[string]string, bool) {
	want, have := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return nil, false
	}
	params := map[string]string{}
	for i, segment := range want {
		switch {
		case strings.HasPrefix(segment, "{") && have[i] != "":
			params[strings.Trim(segment, "{}")] = have[i]
		case segment != have[i]:
			return nil, false
		}
	}
	return params, true
}

// ask makes a request of a described operation, and holds the answer against the description.
func (c *contract) ask(q call) *reply {
	c.t.Helper()
	req, res := c.send(q)
	return c.judge(q, req, res)
}

// follow reads a stream to its end: what happens while it is open is done one by one, each when an event has come.
func (c *contract) follow(q call, acts ...func()) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	req := c.make(ctx, q)
	res, err := c.raw.RoundTrip(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	var text []byte
	for _, act := range acts {
		event, err := nextEvent(res.Body)
		if err != nil {
			c.t.Fatalf("%s: %v after %q", q.url, err, text)
		}
		text = append(text, event...)
		act()
	}
	rest, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("%s: %v after %q", q.url, err, text)
	}
	c.judge(q, req, &reply{res, string(text) + string(rest)})
}

// judge holds an answer against the description.
func (c *contract) judge(q call, req *http.Request, res *reply) *reply {
	c.t.Helper()
	host, _, _ := strings.Cut(strings.SplitN(q.url, "://", 2)[1], "/")
	route, params := c.operation(c.at[host].server, q.method, req.URL.Path)
	if route == nil {
		c.t.Errorf("%s %s is described nowhere", q.method, q.url)
		return res
	}
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	what := fmt.Sprintf("%s %s %d %s", q.method, route.Path, res.StatusCode, media)
	if err := c.hold(route, params, q, req, res, media); err != nil {
		c.t.Errorf("%s (%s): %s\n%v\n%.300s", what, q.url, cause(err), res.Header, res.text)
		return res
	}
	c.seen[what] = true
	return res
}

// cause is what an error says first: the schema that follows stands in the description.
func cause(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\nSchema:")
	return text
}

// hold says what of an answer, or of a request that was answered well, is not as it is described.
func (c *contract) hold(route *routers.Route, params map[string]string, q call, req *http.Request, res *reply, media string) error {
	described := route.Operation.Responses.Status(res.StatusCode)
	switch {
	case described == nil:
		return errors.New("a status that is not described")
	case described.Value.Content.Get(media) == nil && (len(described.Value.Content) > 0 || res.text != ""):
		return errors.New("a media type that is not described")
	}
	in := &openapi3filter.RequestValidationInput{
		Request: req, PathParams: params, Route: route, QueryParams: req.URL.Query(),
		Options: &openapi3filter.Options{AuthenticationFunc: presented, IncludeResponseStatus: true, MultiError: true},
	}
	if res.StatusCode < 400 {
		req.Body = io.NopCloser(strings.NewReader(q.body)) // the one that was sent has been read
		if err := openapi3filter.ValidateRequest(req.Context(), in); err != nil {
			return fmt.Errorf("a request that was answered well: %w", err)
		}
		if err := c.knownParameters(route, req); err != nil {
			return err
		}
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: res.StatusCode, Header: res.Header, Options: in.Options}
	if err := openapi3filter.ValidateResponse(context.Background(), out.SetBodyBytes([]byte(res.text))); err != nil {
		return err
	}
	return c.inner(described.Value, media, res.text)
}

// knownParameters refuses a query with a parameter that is not described: the tour would show what nobody is told.
func (c *contract) knownParameters(route *routers.Route, req *http.Request) error {
	for name := range req.URL.Query() {
		if route.Operation.Parameters.GetByInAndName("query", name) == nil {
			return fmt.Errorf("the parameter %s is not described", name)
		}
	}
	return nil
}

// presented holds a request against a security scheme.
func presented(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	r, s := in.RequestValidationInput.Request, in.SecurityScheme
	good := false
	switch {
	case s.Type == "http":
		scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		good = strings.EqualFold(scheme, s.Scheme)
	case s.In == "header":
		good = r.Header.Get(s.Name) != ""
	case s.In == "cookie": // by the name of another app too
		good = slices.ContainsFunc(r.Cookies(), func(k *http.Cookie) bool { return strings.HasPrefix(k.Name, "__Host-Http-") })
	}
	if !good {
		return errors.New("the request lacks " + in.SecuritySchemeName)
	}
	return nil
}

// inner holds events, and lines of JSON, against their schemas.
func (c *contract) inner(described *openapi3.Response, media, text string) error {
	switch media {
	case "text/event-stream":
		return c.events(described, text)
	case "application/x-ndjson":
		for line := range strings.Lines(text) {
			if err := c.fits(described.Extensions["x-lines"], line); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *contract) events(described *openapi3.Response, text string) error {
	schemas, _ := described.Extensions["x-events"].(map[string]any)
	n := 0
	for block := range strings.SplitSeq(text, "\n\n") {
		name, data, ok := strings.Cut(strings.TrimPrefix(block, "event: "), "\ndata: ")
		if !ok {
			continue
		}
		if schemas[name] == nil {
			return fmt.Errorf("the event %s is not described", name)
		}
		if err := c.fits(schemas[name], data); err != nil {
			return fmt.Errorf("the event %s: %w", name, err)
		}
		c.also["event "+name] = true
		n++
	}
	if n == 0 {
		return errors.New("a stream without an event")
	}
	return nil
}

// fits holds a text of JSON against a schema of an extension: references to components, or anyOf them.
func (c *contract) fits(schema any, text string) error {
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return err
	}
	s, _ := schema.(map[string]any)
	choices, ok := s["anyOf"].([]any)
	if !ok {
		choices = []any{s}
	}
	var all error
	for _, choice := range choices {
		ref, _ := choice.(map[string]any)["$ref"].(string)
		component := c.d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
		if component == nil {
			return fmt.Errorf("no schema %q", ref)
		}
		err := component.Value.VisitJSON(value, openapi3.EnableJSONSchema2020())
		if err == nil {
			return nil
		}
		all = errors.Join(all, err)
	}
	return all
}

// is holds an answer that is of no operation against a response of the components.
func (c *contract) is(name string, status int, q call) *reply {
	c.t.Helper()
	for _, fields := range [][]string{nil, {"Sec-Fetch-Mode", "navigate"}} {
		req, res := c.send(q.with(fields...))
		media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
		op := openapi3.NewOperation()
		op.AddResponse(status, c.d.Components.Responses[name].Value)
		out := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, Route: &routers.Route{Spec: c.d, Operation: op}},
			Status:                 res.StatusCode, Header: res.Header, Options: &openapi3filter.Options{IncludeResponseStatus: true},
		}
		if err := openapi3filter.ValidateResponse(context.Background(), out.SetBodyBytes([]byte(res.text))); err != nil {
			c.t.Errorf("%s (%s %s): %d: %s\n%.300s", name, q.method, q.url, res.StatusCode, cause(err), res.text)
			continue
		}
		c.also[name+" "+media] = true
		if len(fields) > 0 {
			return res
		}
	}
	return nil
}

// see makes a request and wants a status. An error is asked for twice, by a program and by a navigation, if it is described as
// a page too; make makes the request anew each time.
func (c *contract) see(status int, make func() call) *reply {
	c.t.Helper()
	q := make()
	res := c.ask(q)
	if res.StatusCode != status {
		c.t.Errorf("%s %s: %d, want %d\n%.300s", q.method, q.url, res.StatusCode, status, res.text)
	}
	if status >= 400 && !slices.Contains(q.fields, "Sec-Fetch-Mode") && c.hasPage(q, status) {
		if again := c.ask(make().with("Sec-Fetch-Mode", "navigate")); again.StatusCode != status {
			c.t.Errorf("%s %s as a navigation: %d, want %d\n%.300s", q.method, q.url, again.StatusCode, status, again.text)
		}
	}
	return res
}

// hasPage reports whether an answer is described as a page too.
func (c *contract) hasPage(q call, status int) bool {
	u, _ := url.Parse(q.url)
	route, _ := c.operation(c.at[u.Host].server, q.method, u.Path)
	if route == nil {
		return false
	}
	described := route.Operation.Responses.Status(status)
	return described != nil && described.Value.Content["text/html"] != nil
}

// same is a request that may be made again as it is.
func same(q call) func() call { return func() call { return q } }

// missing lists what is described and was not answered.
func (c *contract) missing() (all []string) {
	for path, item := range c.d.Paths.Map() {
		for method, op := range item.Operations() {
			for status, response := range op.Responses.Map() {
				events, _ := response.Value.Extensions["x-events"].(map[string]any)
				for name := range events {
					if !c.also["event "+name] {
						all = append(all, method+" "+path+" event "+name)
					}
				}
				media := slices.Collect(maps.Keys(response.Value.Content))
				if len(media) == 0 {
					media = []string{""}
				}
				for _, m := range media {
					if what := method + " " + path + " " + status + " " + m; !c.seen[what] {
						all = append(all, what)
					}
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// each makes a request of every operation, as ask says (nil: of this one none), which is to be answered with a status wherever
// that is described, and wherever it is not with something that is.
func (c *contract) each(status int, ask func(server, path, method string, op *openapi3.Operation) func() call) {
	c.t.Helper()
	for _, path := range c.d.Paths.InMatchingOrder() {
		item := c.d.Paths.Value(path)
		for method, op := range item.Operations() {
			make := ask(item.Servers[0].URL, path, method, op)
			switch {
			case make == nil:
			case op.Responses.Status(status) != nil:
				c.see(status, make)
			default:
				c.ask(make())
			}
		}
	}
}
