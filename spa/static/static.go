// Package static serves what a browser app is made of, where no route of the gateway matches: the files of one folder as
// a build leaves them, or in development whatever a development server answers. It knows HTTP, files and what browsers
// and caches make of them. It does not know cookies by name, sessions, routes, or who may see a page: a protected site is
// put behind a sign-in by whoever mounts it, and only its caching is decided here.
//
// The journey through it, for a folder: the path is turned into a name that cannot leave the folder (name.go), a file is
// looked for, or what stands for one that is not there (folder.go), a smaller form of it is taken where the browser can
// read that (encoding.go), and the answer is described: type (mediatype.go), caching and the policy of a document
// (headers.go), what of a page its policy allows by hash (pages.go, inline.go, policy.go), entity tag (tag.go). For a
// development server: devserver.go.
//
// What is answered where nothing is there is decided by the folder itself. A page of an app that routes in the browser
// gets /index.html, so that /orders/7 and /users/jane.doe can be opened and reloaded: but only a navigation, and only where
// the last segment of the path has no extension of a file, for a script that is gone must never come back as a page. A folder
// with a 404.html is a site of many pages: there every page that is missing is that one, with status 404. Where a build writes
// a 200.html, that is the app, and index.html the content of its first page: it is what such a path gets, before the 404.html.
package static

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"cloakroom/surface"
)

// Options is what a site is made of: either Dir or URL.
type Options struct {
	Dir string // a folder with an index.html
	URL string // a development server on loopback: scheme, host and port

	// Protected says that nobody sees the site but who is signed in: then nothing of it may be kept by a cache that others
	// share, nor a page by any. That nobody else does see it is up to the caller.
	Protected bool
	// Public are the paths of a protected folder that everybody may see: each exactly, or with a slash at its end itself
	// without that slash and all below. Nothing else answers there, above all no page that stands for a missing one.
	Public []string
	// Policy is the Content-Security-Policy of the folder's documents, and of its scripts, should one be started as a worker;
	// "" = DefaultPolicy. A document's own, by <meta>, can only narrow it (CSP Level 3 section 3.3). A development server's
	// documents get none of ours.
	Policy string
	// HashInline widens the policy of each page by the hashes of the scripts and styles that stand in it, so that these run and no
	// others do. Whoever can write into a page at the time it is built can write scripts into it then.
	HashInline bool

	// APIs says that the app has APIs below /api/: there no page of a folder stands for what is missing. Whoever opens a
	// download by a wrong address is told so.
	APIs bool
	// Origin is the app's own; with URL it must be there. A WebSocket is passed on only if it comes from it.
	Origin string
	// ReservedCookie reports whether a cookie name is the gateway's; with URL it must be there. No such cookie is passed on,
	// in either direction.
	ReservedCookie func(name string) bool

	Log *slog.Logger // nil: nobody listens
}

// Site is what is served at an app's origin beside its routes.
type Site struct {
	serve  surface.Handler
	public public
}

// New makes a site. It is an error if the folder or its index.html is not there, or if the server is not on loopback.
func New(o Options) (*Site, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.Dir != "" && o.URL != "":
		return nil, errors.New("a folder and a development server: want one of them")
	case o.Dir != "":
		f, err := newFolder(o)
		if err != nil {
			return nil, err
		}
		return &Site{serve: f.serve, public: f.public}, nil
	case o.URL != "":
		d, err := newDevServer(o)
		if err != nil {
			return nil, err
		}
		return &Site{serve: d.serve}, nil
	default:
		return nil, errors.New("neither a folder nor a development server")
	}
}

// Serve answers a request, or returns an error and has written nothing but header fields: bff.CodeNotFound,
// bff.CodeMethodNotAllowed; of a development server bff.CodeUpstreamUnavailable where it does not answer and
// bff.CodeCSRFFailed to a WebSocket from elsewhere. It is a surface.Handler.
func (s *Site) Serve(w http.ResponseWriter, r *http.Request) error { return s.serve(w, r) }

// newFolder looks once at what will be opened anew for each request: a mistake shows at the start, with its path.
func newFolder(o Options) (*folder, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("folder of static files %s: %w", o.Dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("folder of static files %s: %w", dir, err)
	}
	defer root.Close()
	if info, err := root.Stat(indexFile); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("folder of static files %s has no %s: name the folder that a build writes", dir, indexFile)
	}
	f := &folder{dir: dir, rules: newRules(o), public: newPublic(o), apis: o.APIs, hashed: o.HashInline, log: o.Log}
	if f.hashed && parsePolicy(f.rules.policy).allowsInline("script", elements) {
		return nil, errors.New("its policy allows every inline script, so that no hash says anything: write a script-src without " +
			"'unsafe-inline', or no hashes")
	}
	return f, nil
}
