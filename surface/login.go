package surface

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"cloakroom/bff"
)

const (
	maxAgeDigits = 9   // seconds for thirty years: nobody asks for more, and it fits 32 bits
	maxHint      = 256 // bytes of login_hint: an address has at most 254
)

// ParamStepUp is the parameter of a sign-in that carries a step-up's ticket.
const ParamStepUp = "step_up"

// locales is what ui_locales may be: BCP 47 tags, space-separated.
var locales = regexp.MustCompile(`^[A-Za-z0-9-]{1,35}( [A-Za-z0-9-]{1,35}){0,9}$`)

// LoginPolicy is what a frontend may ask of a login. What is not listed does not reach the provider.
type LoginPolicy struct {
	Prompts      []string         // allowed values of prompt
	ACRValues    []string         // allowed values of acr_values
	MaxAge       bool             // max_age may be asked, or
	MaxAges      []int            // these values of it alone, in seconds
	LoginHint    bool             // login_hint may be given
	UILocales    bool             // ui_locales may be given
	Extra        map[string]Param // further parameters, by the name the frontend uses
	StartOrigins []string         // of a browser app: other origins whose links start a login without a click in between
}

// Param is one further login parameter: its name at the provider and what it may be. Neither Values nor Pattern: nothing
// is allowed.
type Param struct {
	Name    string         // at the provider; "" = the same
	Values  []string       // the allowed values, or
	Pattern *regexp.Regexp // what the whole value must match (anchor it)
}

// ReadOnce reads a query or a form in which every parameter stands once at most (RFC 6749 section 3.1), strictly:
// url.Values of a request drop what does not parse, and with it the proof that a parameter stood twice. No error quotes
// the input but for the start of a name.
func ReadOnce(raw string) (url.Values, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errors.New("does not parse")
	}
	for name, all := range values {
		if len(all) > 1 {
			return nil, fmt.Errorf("%.32q stands %d times", name, len(all))
		}
	}
	return values, nil
}

// Read takes into req what a frontend asks of a login and the policy allows. Parameters that it does not list are dropped
// without a word, so that no scope, redirect URI or response mode gets to the provider from a link (ASVS 10.2.3); a value
// that is not allowed is CodeBadRequest. shown is what passed, as a query.
func (p LoginPolicy) Read(query url.Values, req *bff.LoginRequest) (shown url.Values, err error) {
	req.Extra, shown = url.Values{}, url.Values{}
	for _, read := range []func(url.Values, *bff.LoginRequest) (name string, err error){
		p.readPrompt, p.readACR, p.readMaxAge, p.readHint, p.readLocales,
	} {
		name, err := read(query, req)
		switch {
		case err != nil:
			return nil, BadParameter(name, err)
		case name != "":
			shown.Set(name, query.Get(name))
		}
	}
	return shown, p.readExtra(query, req, shown)
}

// BadParameter is the refusal of one parameter, by a name that is ours.
func BadParameter(name string, err error) error {
	return &bff.Error{
		Code: bff.CodeBadRequest, Message: "The sign-in was asked for in a way that is not allowed: " + name + ".", Err: err,
	}
}

// readPrompt takes the values that the app lists. Asking for none beside another contradicts itself.
func (p LoginPolicy) readPrompt(query url.Values, req *bff.LoginRequest) (name string, err error) {
	prompts := strings.Fields(query.Get("prompt"))
	if len(prompts) == 0 {
		return "", nil
	}
	req.Silent = slices.Contains(prompts, "none")
	if req.Silent && len(prompts) > 1 { // OpenID Connect Core section 3.1.2.1
		return "prompt", errors.New("none beside another value")
	}
	// To none a provider answers login_required or its kin instead of showing anything (OpenID Connect Core section 3.1.2.6):
	// the surface tells the app.
	req.Extra.Set("prompt", strings.Join(prompts, " "))
	return "prompt", allOf(prompts, p.Prompts)
}

// readACR takes no free text: a step-up asks for what the app is known to need (RFC 9470 section 4).
func (p LoginPolicy) readACR(query url.Values, req *bff.LoginRequest) (name string, err error) {
	values := strings.Fields(query.Get("acr_values"))
	if len(values) == 0 {
		return "", nil
	}
	// Kept as well, sealed: the ID token must hold one of them (OpenID Connect Core section 3.1.3.7, step 12).
	req.ACR = strings.Join(values, " ")
	req.Extra.Set("acr_values", req.ACR)
	return "acr_values", allOf(values, p.ACRValues)
}

// readMaxAge takes digits alone; the engine holds the answer's auth_time against it (OpenID Connect Core section 3.1.2.1).
func (p LoginPolicy) readMaxAge(query url.Values, req *bff.LoginRequest) (name string, err error) {
	raw := query.Get("max_age")
	if raw == "" || !p.MaxAge && len(p.MaxAges) == 0 {
		return "", nil
	}
	// 0 is a number too: it asks for a sign-in now, whatever session the provider has.
	if len(raw) > maxAgeDigits || strings.Trim(raw, "0123456789") != "" {
		return "max_age", errors.New("not a number of seconds")
	}
	seconds, err := strconv.Atoi(raw)
	if err == nil && !p.MaxAge && !slices.Contains(p.MaxAges, seconds) {
		return "", nil // as one that the app may not ask for at all
	}
	req.MaxAge = &seconds
	return "max_age", err
}

// ReadStepUp takes the ticket of a step-up, if there is one, into req: it stands for acr_values and max_age, which must not
// stand beside it. Errors are those of bff.Engine.OpenStepUp.
func ReadStepUp(ctx context.Context, engine *bff.Engine, app *bff.App, query url.Values, req *bff.LoginRequest) error {
	ticket := query.Get(ParamStepUp)
	if ticket == "" {
		return nil
	}
	for _, name := range []string{"acr_values", "max_age"} {
		if query.Has(name) {
			return BadParameter(name, errors.New("beside a step_up, which says it"))
		}
	}
	return engine.Raise(ctx, app, ticket, req)
}

// readHint passes a login_hint on as it is: what it means is the provider's business.
func (p LoginPolicy) readHint(query url.Values, req *bff.LoginRequest) (name string, err error) {
	hint := query.Get("login_hint")
	if hint == "" || !p.LoginHint {
		return "", nil
	}
	if len(hint) > maxHint || strings.ContainsFunc(hint, func(r rune) bool { return r < 0x20 || r == 0x7f || r == 0xfffd }) {
		return "login_hint", errors.New("too long, or with control characters")
	}
	req.Extra.Set("login_hint", hint)
	return "login_hint", nil
}

// readLocales takes language tags, and nothing that is none.
func (p LoginPolicy) readLocales(query url.Values, req *bff.LoginRequest) (name string, err error) {
	tags := query.Get("ui_locales")
	if tags == "" || !p.UILocales {
		return "", nil
	}
	if !locales.MatchString(tags) {
		return "ui_locales", errors.New("no language tags")
	}
	req.Extra.Set("ui_locales", tags)
	return "ui_locales", nil
}

// readExtra takes the further parameters of the app, under the provider's names for them.
func (p LoginPolicy) readExtra(query url.Values, req *bff.LoginRequest, shown url.Values) error {
	for name, param := range p.Extra {
		value := query.Get(name)
		if value == "" {
			continue
		}
		// An organisation or a connection decides where a user signs in: a link must not choose freely (RFC 9700 section 2.3).
		if !slices.Contains(param.Values, value) && (param.Pattern == nil || !param.Pattern.MatchString(value)) {
			return BadParameter(name, errors.New("value not allowed"))
		}
		// Asked for by one name, sent under another: the frontend need not know the product behind.
		at := name
		if param.Name != "" {
			at = param.Name
		}
		req.Extra.Set(at, value)
		shown.Set(name, value)
	}
	return nil
}

// allOf is an error if one of the values is not allowed.
func allOf(values, allowed []string) error {
	for _, v := range values {
		if !slices.Contains(allowed, v) {
			return fmt.Errorf("%.64q is not allowed", v)
		}
	}
	return nil
}
