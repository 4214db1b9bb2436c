package dev

import (
	"embed"
	"io/fs"

	"cloakroom/spa/demo"
)

// sites are the apps that are served as they are written: the handbook, pages behind sign-in without a script, and the
// board, a single-page app of one script that no tool has touched.
//
//go:embed handbook board
var sites embed.FS

// handbookFiles is the handbook as it is served.
func handbookFiles() fs.FS { return site("handbook") }

// boardFiles is the second single-page app.
func boardFiles() fs.FS { return site("board") }

func site(name string) fs.FS {
	files, err := fs.Sub(sites, name)
	if err != nil {
		panic(err) // a name that is a constant
	}
	return files
}

// demoFiles is the built single-page app.
func demoFiles() fs.FS { return demo.Files() }
