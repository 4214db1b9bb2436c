package dev

import (
	"embed"
	"io/fs"

	"cloakroom/spa/demo"
)

// handbook is the second web app: three pages behind sign-in, without a script.
//
//go:embed handbook
var handbook embed.FS

// handbookFiles is the handbook as it is served.
func handbookFiles() fs.FS {
	files, err := fs.Sub(handbook, "handbook")
	if err != nil {
		panic(err) // a name that is a constant
	}
	return files
}

// demoFiles is the built single-page app.
func demoFiles() fs.FS { return demo.Files() }
