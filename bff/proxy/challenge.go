package proxy

import "strings"

// challenge is one challenge of an answer's WWW-Authenticate (RFC 9110 section 11.6.1): what an API asks for.
type challenge struct {
	scheme string            // in lower case
	params map[string]string // names in lower case; nil where there are none
}

// challenges reads the challenges of all lines of WWW-Authenticate, in their order. Commas stand between challenges and
// between the parameters of one alike, so that a name counts as a parameter only where "=" and a value follow (RFC 9110
// section 11.2); a value is a token or a quoted string, whatever its parameter is usually written as. What does not parse is
// not believed: the challenge in which it stands is left out, with all that follows on its line, and so is a challenge that
// says one parameter twice.
func challenges(values []string) []challenge {
	p := challengeParser{}
	for _, line := range values {
		p.rest = line
		p.line()
	}
	p.finish()
	return p.all
}

// challengeParser reads lines of challenges. One challenge may go on over lines: they are one list (RFC 9110 section 5.3).
type challengeParser struct {
	rest string // of the line
	all  []challenge
	cur  *challenge // being read; nil: none
	bad  bool       // the one being read says a parameter twice
}

// finish takes the challenge that was read, if it is good.
func (p *challengeParser) finish() {
	if p.cur != nil && !p.bad {
		p.all = append(p.all, *p.cur)
	}
	p.cur, p.bad = nil, false
}

// line reads one line to its end, or to what does not parse.
func (p *challengeParser) line() {
	for {
		p.rest = strings.TrimLeft(p.rest, " \t,") // RFC 9110 section 5.6.1.2: empty elements of a list are skipped
		if p.rest == "" {
			return
		}
		if !p.element() {
			p.cur, p.bad = nil, false
			return
		}
	}
}

// element reads a scheme, with what follows it, or one more parameter; false if it is neither.
func (p *challengeParser) element() bool {
	word := p.token()
	if word == "" {
		return false
	}
	if p.isParam() {
		// The first parameter stands behind its scheme, without a comma; none stands behind a token68.
		return p.cur != nil && p.cur.params != nil && p.param(word) && p.ends()
	}
	p.finish()
	p.cur = &challenge{scheme: strings.ToLower(word)}
	if p.ends() {
		return true
	}
	if p.rest[0] != ' ' && p.rest[0] != '\t' {
		return false // "Bearer:" is no scheme
	}
	p.rest = strings.TrimLeft(p.rest, " \t")
	if p.token68() {
		return true
	}
	word = p.token()
	return word != "" && p.isParam() && p.param(word) && p.ends()
}

// token takes a token off the line (RFC 9110 section 5.6.2); "" if none is there.
func (p *challengeParser) token() string {
	i := 0
	for i < len(p.rest) && isToken(p.rest[i:i+1]) {
		i++
	}
	word := p.rest[:i]
	p.rest = p.rest[i:]
	return word
}

// isParam reports whether "=" follows, with white space before it that some servers write.
func (p *challengeParser) isParam() bool {
	return strings.HasPrefix(strings.TrimLeft(p.rest, " \t"), "=")
}

// param takes "=" and a value off the line, for the parameter of that name.
func (p *challengeParser) param(name string) bool {
	p.rest = strings.TrimLeft(p.rest, " \t")
	p.rest = strings.TrimLeft(p.rest[1:], " \t")
	value, ok := p.value()
	if !ok {
		return false
	}
	name = strings.ToLower(name)
	if _, twice := p.cur.params[name]; twice { // RFC 9110 section 11.2: only once per challenge
		p.bad = true
	}
	if p.cur.params == nil {
		p.cur.params = make(map[string]string)
	}
	p.cur.params[name] = value
	return true
}

// value takes a token or a quoted string off the line.
func (p *challengeParser) value() (string, bool) {
	if !strings.HasPrefix(p.rest, `"`) {
		word := p.token()
		return word, word != ""
	}
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return b.String(), true
		case c == '\\': // RFC 9110 section 5.6.4: the next one as it is
			if i++; i == len(p.rest) {
				return "", false
			}
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false // the line ended in it
}

// token68 takes the other thing that may follow a scheme, if it is that: nobody here reads it.
func (p *challengeParser) token68() bool {
	rest := strings.TrimLeftFunc(p.rest, func(r rune) bool {
		return r < 0x80 && (isAlnum(byte(r)) || strings.ContainsRune("-._~+/", r))
	})
	if len(rest) == len(p.rest) {
		return false
	}
	rest = strings.TrimLeft(strings.TrimLeft(rest, "="), " \t")
	if rest != "" && rest[0] != ',' {
		return false
	}
	p.rest = rest
	return true
}

// ends reports whether an element of the list ends here.
func (p *challengeParser) ends() bool {
	rest := strings.TrimLeft(p.rest, " \t")
	return rest == "" || rest[0] == ','
}
