//go:build !integration

package store_test

// realRedis says that this build of the tests runs on miniredis alone: Go is all it needs.
const realRedis = false
