// Package bff is the domain of Cloakroom, a backend-for-frontend gateway: what is true about apps, sessions and
// tokens, whatever carries them. It imports the standard library only. Redis is behind the ports that package store
// implements, the OpenID provider behind the port that package idp implements, and how a credential arrives (a
// cookie, a handle) is the business of the surfaces that call in.
//
// The words used here:
//
//   - A provider is an OpenID provider. An App is a registered frontend, a confidential OAuth client of its own.
//   - A Session is the server-side record of one user signed in at one app: subject, claims, TokenSet and times.
//   - A Root is the session's 256-bit secret, known to the frontend alone. Its Lookup, a hash, names the record;
//     the key that opens the record is derived from the root and a key of the Keyring.
//   - An SSO session is all sessions, over all apps, that come from one session at the provider. They end together,
//     by a Marker that is written before anything is deleted.
//   - A transaction is one login in flight, sealed into a cookie. Nothing of it is stored until it is used.
//   - The generation of a token set counts its refreshes.
//   - A Handle is what a native app presents instead of a cookie: the root and a Turn, which moves at each rotation. An
//     exchange code is what it gets its first handles for; until then its login is Pending.
//   - A Possession is a proof that who presents a handle holds the key which the handle is bound to (RFC 9449). A nonce is
//     what such a proof may have to answer: the time, with a MAC.
//   - A pushed request is the start of a native login that its app sent beforehand, sealed into its own request_uri.
//   - A Device is a session as its user sees it, in the list of all of theirs.
//   - A watch is what a stream hangs on: its context ends with the session, and EndOf says why.
//   - A purge ends all sessions of an app, or all there are, step by step, by a Marker and a scan of the store.
//   - A client token is an app's own, without a user (client credentials).
//
// The journey of a request: a surface turns its credential into a Root; Engine.Session reads and judges the record;
// Engine.FreshTokens returns tokens that are good for a call, after one refresh over all instances where needed; package
// proxy forwards. The other journeys are Engine.BeginLogin and Engine.CompleteLogin, Engine.SignOut, and Engine.Devices,
// where a user finds and ends the sessions of other browsers and devices. A native app goes from
// Engine.CompleteNativeLogin (and Engine.ConfirmNativeLogin, where a person is asked) over Engine.Redeem to
// Engine.HandleSession, and comes back to Engine.RotateHandles every few minutes, if its handle is bound to no key.
//
// Sessions end from elsewhere by Engine.BackchannelLogout and Engine.FrontchannelLogout, where the provider says so, and by
// Engine.EndSessionsOf, Engine.EndSessionNamed and Engine.BeginPurge, where an administrator does. Whatever ends one,
// Engine.Watch and Engine.Listen tell it to all that hangs on it, at every instance.
package bff
