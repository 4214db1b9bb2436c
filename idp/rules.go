package idp

// Rule names what a token or an answer must keep. The names appear in logs.
type Rule string

// The rules.
const (
	RuleForm         Rule = "form"              // compact, of sane size, unambiguous JSON
	RuleCritical     Rule = "crit"              // RFC 7515 section 4.1.11
	RuleType         Rule = "typ"               // RFC 8725 section 3.11
	RuleAlgorithm    Rule = "alg"               // on the issuer's allow-list, asymmetric
	RuleSignature    Rule = "signature"         // good under a key of the issuer
	RuleIssuer       Rule = "iss"               // OpenID Connect Core section 3.1.3.7, item 2
	RuleAudience     Rule = "aud"               // items 3 to 5
	RuleParty        Rule = "azp"               // item 5
	RuleExpiry       Rule = "exp"               // item 9
	RuleIssuedAt     Rule = "iat"               // item 10
	RuleNotBefore    Rule = "nbf"               // RFC 7519 section 4.1.5
	RuleNonce        Rule = "nonce"             // item 11
	RuleSubject      Rule = "sub"               // section 2
	RuleSession      Rule = "sid"               // Back-Channel Logout section 2.1
	RuleAccessHash   Rule = "at_hash"           // section 3.1.3.8
	RuleAuthTime     Rule = "auth_time"         // item 13
	RuleACR          Rule = "acr"               // item 12
	RuleKind         Rule = "kind"              // another kind of token in an ID token's place
	RuleEvents       Rule = "events"            // Back-Channel Logout section 2.6, item 6
	RuleTokenID      Rule = "jti"               // section 2.4
	RuleAnswer       Rule = "answer"            // an answer lacks what it must have, RFC 6749 section 5.1
	RuleTokenType    Rule = "token_type"        // RFC 6749 section 7.1
	RuleIssuedType   Rule = "issued_token_type" // RFC 8693 section 2.2.1
	RuleScope        Rule = "scope"             // RFC 8693 section 2.2.1
	RuleAnswerIssuer Rule = "iss parameter"     // RFC 9207 section 2.4
)

// RuleError says which rule was broken. Neither text nor fields hold any of the token but short claim values that are no
// secrets.
type RuleError struct {
	Rule   Rule
	Detail string
}

// Error names rule and detail.
func (e *RuleError) Error() string { return "rule " + string(e.Rule) + ": " + e.Detail }

func broken(r Rule, detail string) error { return &RuleError{Rule: r, Detail: detail} }
