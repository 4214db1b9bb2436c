// Package dev is what the one-command development world is made of, apart from the gateway itself.
//
// It knows a demo API that believes access tokens and shows what reached it. It does not know cookies, sessions or handles: those are
// the gateway's, and the point of the demo is that an API behind it needs none of them. Nothing here is part of the production binary.
//
// The journey: NewAPI makes the handler; a request is written to the recorder (recorder.go), its bearer token is verified against the
// provider's keys (bearer.go), and one of the endpoints answers (api.go, orders.go, stream.go).
package dev
