package static

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"cloakroom/bff"
	"cloakroom/surface"
)

const (
	indexFile    = "index.html"
	notFoundFile = "404.html"
	// appFile is the empty app of a build whose index.html has the content of one page: Nuxt writes it, SvelteKit where told so.
	appFile = "200.html"
	// pageExtension is what addresses of pages leave out.
	pageExtension = ".html"

	nothingHere = "There is nothing at this address."
)

// folder serves the files below one folder.
type folder struct {
	dir    string
	rules  rules
	public public
	apis   bool // has no pages below /api/
	hashed bool // what stands in a page is allowed by its hash
	log    *slog.Logger
	tags   tags
	pages  pages
}

// found is what answers a path.
type found struct {
	name       string // of a file that is there
	info       fs.FileInfo
	status     int  // 200, or 404 with the folder's own page
	moved      bool // the folder's page is at the path with a slash behind it
	negotiated bool // another kind of request would have got another answer
}

// serve answers from the folder. It is opened anew each time, so that a new build may take its place while we run, also
// by a symbolic link that is moved.
func (f *folder) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD") // RFC 9110 section 15.5.6
		return &bff.Error{Code: bff.CodeMethodNotAllowed, Message: "This address can only be read."}
	}
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return fmt.Errorf("opening the folder of static files: %w", err)
	}
	defer root.Close() // reading only: nothing can be lost
	file, ok := f.find(root, r)
	switch {
	case !ok:
		return &bff.Error{Code: bff.CodeNotFound, Message: nothingHere}
	case file.moved:
		f.move(w, r)
		return nil
	default:
		return f.send(w, r, root, file)
	}
}

// find looks for what answers a path: a file, a page whose extension is left out, a folder's index, or what stands for a page
// that is not there.
func (f *folder) find(root *os.Root, r *http.Request) (found, bool) {
	name, ok := pathOf(r.URL)
	switch {
	case !ok:
		return found{}, false
	case !isName(name): // no file's, but an app may have a page there
		return f.missing(root, r, name)
	case name == "" || strings.HasSuffix(name, "/"):
		if info, ok := f.stat(root, name+indexFile); ok {
			return found{name: name + indexFile, info: info, status: http.StatusOK}, true
		}
		return f.missing(root, r, name)
	}
	if info, ok := f.stat(root, name); ok {
		return found{name: name, info: info, status: http.StatusOK}, true
	}
	if file, ok := f.page(root, r, name); ok {
		return file, true
	}
	if _, ok := f.stat(root, name+"/"+indexFile); ok {
		return found{moved: true}, true
	}
	return f.missing(root, r, name)
}

// page finds the page whose extension an address leaves out: /about for about.html, as static exports of Next.js, SvelteKit
// and Astro link their pages. One that is not public answers at no public address.
func (f *folder) page(root *os.Root, r *http.Request, name string) (found, bool) {
	if f.public.has(r.URL) && !f.public.hasName(name+pageExtension) {
		return found{}, false
	}
	info, ok := f.stat(root, name+pageExtension)
	return found{name: name + pageExtension, info: info, status: http.StatusOK}, ok
}

// missing finds what stands for a page that is not there. Whoever is not about to show a page is told the truth: a
// script or an image that is gone must not come as HTML, with status 200, into a cache.
func (f *folder) missing(root *os.Root, r *http.Request, name string) (found, bool) {
	if strings.HasPrefix(name, wellKnown) || !surface.WantsPage(r) || f.public.has(r.URL) && !f.public.hasName(notFoundFile) {
		return found{}, false // what stands for it may be nobody's to see without a session
	}
	isPage := !namesFile(name) && !f.public.has(r.URL) && !(f.apis && strings.HasPrefix(name, "api/"))
	if info, ok := f.stat(root, appFile); ok && isPage {
		return found{name: appFile, info: info, status: http.StatusOK, negotiated: true}, true
	}
	if info, ok := f.stat(root, notFoundFile); ok {
		return found{name: notFoundFile, info: info, status: http.StatusNotFound, negotiated: true}, true
	}
	info, ok := f.stat(root, indexFile)
	return found{name: indexFile, info: info, status: http.StatusOK, negotiated: true}, ok && isPage
}

// stat finds a regular file. A pipe or a device is none: to open one could wait for ever.
func (f *folder) stat(root *os.Root, name string) (fs.FileInfo, bool) {
	info, err := root.Stat(name)
	if err != nil {
		if !isAbsent(err) { // among others a link that leads out of the folder: the operator may want to know
			f.log.Warn("static file not served", "name", name, "error", err)
		}
		return nil, false
	}
	return info, info.Mode().IsRegular()
}

// isAbsent reports errors that say no more than that there is no such file.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) ||
		errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
}

// move sends on to the path with a slash, so that relative addresses in the folder's page lead into the folder. The path
// has no empty segment, so it cannot begin with two slashes and name another host.
func (f *folder) move(w http.ResponseWriter, r *http.Request) {
	to := r.URL.EscapedPath() + "/"
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	f.rulesAt(r).describeMove(w.Header())
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusPermanentRedirect)
}

// send answers with a file.
func (f *folder) send(w http.ResponseWriter, r *http.Request, root *os.Root, file found) error {
	r = heard(r)
	h, body := w.Header(), form{name: file.name, info: file.info}
	if file.status == http.StatusOK {
		body = f.smallest(root, file, r.Header, h)
	}
	content, info, err := open(root, body.name)
	if err != nil {
		return err
	}
	defer content.Close()
	file.info, body.info = info, info // of what is sent, not of what was there when it was looked for
	tag, err := f.tags.of(body, content)
	if err != nil {
		return fmt.Errorf("reading a static file: %w", err)
	}
	rules := f.rulesAt(r)
	rules.policy = f.policyFor(root, file, body, content)
	rules.describe(h, file)
	if body.coding != "" {
		h.Set("Content-Encoding", body.coding)
	}
	if file.status != http.StatusOK {
		return sendWhole(w, r, file, content)
	}
	h.Set("Etag", entityTag(tag, h.Get("Content-Security-Policy")))
	if body.coding != "" && r.Header.Get("Range") == "" && r.Header.Get("If-Match") == "" {
		// Which net/http leaves out where there is a coding. Its 412 has no body, and would keep the length of one.
		h["Content-Length"] = length(body.info)
	}
	// Without a time: builds that can be repeated give all their files the same one, and an old page would pass for the new.
	http.ServeContent(w, r, body.name, time.Time{}, content)
	return nil
}

// open opens a file that was a regular one a moment ago. Something else may have taken its place: to wait for whoever
// writes into a pipe would be to wait for ever, and a file that is being replaced may be missing or half of the new one.
func open(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	content, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, &bff.Error{Code: bff.CodeNotFound, Message: nothingHere, Err: fmt.Errorf("opening a static file: %w", err)}
	}
	info, err := content.Stat()
	if err != nil || !info.Mode().IsRegular() {
		_ = content.Close()
		return nil, nil, &bff.Error{Code: bff.CodeNotFound, Message: nothingHere, Err: err}
	}
	return content, info, nil
}

// sendWhole answers with a file and a status of its own: net/http's way has none.
func sendWhole(w http.ResponseWriter, r *http.Request, file found, content io.Reader) error {
	w.Header()["Content-Length"] = length(file.info)
	w.WriteHeader(file.status)
	if r.Method != http.MethodHead {
		_, _ = io.CopyN(w, content, file.info.Size()) // a client that is gone reads no error either
	}
	return nil
}
