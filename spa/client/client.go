// Package client is the TypeScript client of a gateway, as it is published. There is no Go in it: its tests, which need npm,
// hold its size, its content, and that an app can be built on it.
package client
