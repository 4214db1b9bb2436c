// Package dev is the one-command development world: the gateway as it is, and all that it needs around it, in one process on one
// machine.
//
// It knows a demo API that believes access tokens and shows what reached it, a server-rendered app, and how a world is put together: a
// Redis inside, the provider of dev/provider, the files of two single-page apps and a handbook, a configuration of all that, and the
// gateway as `cloakroom serve` runs it. It does not know the gateway's cookies, sessions or handles: the point of the demo is that
// what is behind the gateway needs none of them.
// Nothing here is part of the production binary.
//
// The journey of a start: Command reads the command line (command.go), Run looks at the ports (ports.go), starts Redis (redis.go),
// furnishes a private folder and reads the configuration in it with the user's own over it (furnish.go, sites.go), registers its apps
// at the provider (clients.go), runs the gateway (world.go) and says what there is to see (greeting.go). Parts that run alone, for a
// compose file, are in alone.go.
//
// The journey of a call to the API: NewAPI makes the handler; a request is written to the recorder (recorder.go), its bearer token is
// verified against the provider's keys (bearer.go), and one of the endpoints answers (api.go, orders.go, sighting.go, stream.go).
package dev
