// Package demo is the demo frontend of the development world: a browser app as its users see it, built and ready to be served.
//
// It knows the built files and nothing else: not who serves them, nor how they were made. They are committed, so that
// running the demo takes Go alone; a test keeps them in step with their source, which is TypeScript (src/, and the client in
// ../client/src/). After a change there run make demo.
package demo

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files returns what a web server serves at the app's root: index.html, and all that it asks for. Every path that a
// navigation asks for and that is no file is index.html too.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil { // the name above is a good one: it cannot fail
		panic(err)
	}
	return files
}
