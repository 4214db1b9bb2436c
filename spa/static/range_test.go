package static_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"cloakroom/spa/static"
)

// Whatever is asked for together, an answer is of one form, says of which, and can be read by who asked: what a tag names is
// never of another form, and a piece of a compressed form goes to none but who has its beginning.
func TestFormsAndPiecesOfThemTogether(t *testing.T) {
	forms := map[string]string{"": "the file itself", "br": "BROTLI FORM OF IT", "gzip": "GZIP FORM OF IT ALL"}
	dir := app(t)
	write(t, dir, map[string]string{"f.js": forms[""], "f.js.br": forms["br"], "f.js.gz": forms["gzip"]})
	h := serve(t, static.Options{Dir: dir})
	tags := map[string]string{}
	for coding := range forms {
		tags[coding] = h.ask("GET", "/f.js", "Accept-Encoding", coding).header.Get("Etag")
	}
	tagged := []string{"", tags[""], tags["br"], tags["gzip"]}
	for _, accepts := range []string{"", "gzip, br", "gzip", "br;q=0"} {
		for _, piece := range []string{"", "bytes=2-3", "bytes=-4", "bytes=0-0,3-4", "bytes=99-", "lines=2-3"} {
			for _, ifRange := range tagged {
				for _, ifNone := range tagged[:3] {
					fields := []string{"Accept-Encoding", accepts, "Range", piece, "If-Range", ifRange, "If-None-Match", ifNone}
					for i := len(fields) - 2; i >= 0; i -= 2 {
						if fields[i+1] == "" {
							fields = slices.Delete(fields, i, i+2)
						}
					}
					get, head := h.ask("GET", "/f.js", fields...), h.ask("HEAD", "/f.js", fields...)
					for method, a := range map[string]*answer{"GET": get, "HEAD": head} {
						if wrong := a.incoherent(method, forms, tags, ifRange, ifNone); wrong != "" {
							t.Errorf("%s with %q: %s: %d %q %v", method, fields, wrong, a.status, a.body, a.header)
						}
					}
					if head.status == 206 || head.status == 416 { // RFC 9110 section 14.2: pieces are a GET's
						t.Errorf("HEAD with %q: %d", fields, head.status)
					}
					if alone := ifRange == "" && ifNone == ""; alone && get.status != map[string]int{"bytes=2-3": 206, "bytes=-4": 206, "bytes=0-0,3-4": 206, "bytes=99-": 416, "lines=2-3": 200, "": 200}[piece] {
						t.Errorf("GET with %q: %d", fields, get.status)
					}
				}
			}
		}
	}
	// What is ignored is so here alone: whoever logs the request sees what was asked.
	site, err := static.New(static.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("HEAD", "/f.js", nil)
	r.Header.Set("Range", "bytes=0-1")
	if err := site.Serve(httptest.NewRecorder(), r); err != nil || r.Header.Get("Range") == "" {
		t.Errorf("the request afterwards: %v, %v", r.Header, err)
	}
	// Who has the beginning of a form gets its end.
	rest := h.ask("GET", "/f.js", "Accept-Encoding", "br", "Range", "bytes=7-", "If-Range", tags["br"])
	if rest.status != 206 || rest.body != "FORM OF IT" || rest.header.Get("Content-Encoding") != "br" || rest.header.Get("Content-Length") != "10" {
		t.Errorf("the rest of a form: %d %q %v", rest.status, rest.body, rest.header)
	}
	// An answer without a body has no length of one: whoever waited for it would wait until the connection ends.
	for _, method := range []string{"GET", "HEAD"} {
		if a := h.ask(method, "/f.js", "Accept-Encoding", "br", "If-Match", `"another"`); a.status != 412 || a.header.Get("Content-Length") == fmt.Sprint(len(forms["br"])) {
			t.Errorf("%s of what is another now: %d %v", method, a.status, a.header)
		}
	}
}

// incoherent says what does not fit together in an answer; "" if all does.
func (a *answer) incoherent(method string, forms, tags map[string]string, ifRange, ifNone string) string {
	coding, tag := a.header.Get("Content-Encoding"), a.header.Get("Etag")
	whole := forms[coding]
	var from, to, size int
	switch _, err := fmt.Sscanf(a.header.Get("Content-Range"), "bytes %d-%d/%d", &from, &to, &size); {
	case !strings.Contains(strings.Join(a.header.Values("Vary"), ","), "Accept-Encoding"):
		return "it does not say that there are other forms"
	case a.status == 304:
		return map[bool]string{false: "not modified, since what?"}[ifNone != "" && tag == ifNone && a.body == ""]
	case a.status == 416:
		return map[bool]string{false: "a tag, a coding or a life, of nothing"}[tag+coding+a.header.Get("Cache-Control") == ""]
	case tag != tags[coding]:
		return "the tag of another form"
	case tag == ifNone:
		return "modified, though it is not"
	case a.status == 200:
		return map[bool]string{false: "not all of it"}[(a.body == whole || method == "HEAD" && a.body == "") && a.header.Get("Content-Length") == fmt.Sprint(len(whole))]
	case a.status != 206:
		return "no such answer"
	case ifRange != "" && ifRange != tag:
		return "a piece for who has another form's beginning"
	case coding != "" && ifRange == "":
		return "a piece of a form for who has not its beginning"
	case strings.HasPrefix(a.header.Get("Content-Type"), "multipart/"):
		return map[bool]string{false: "several pieces of a form"}[coding == ""]
	default:
		return map[bool]string{false: "another piece"}[err == nil && size == len(whole) && a.body == whole[from:to+1] && a.header.Get("Content-Length") == fmt.Sprint(len(a.body))]
	}
}

// What is opened for an answer is closed with it, whatever the answer is.
func TestNothingStaysOpen(t *testing.T) {
	dir := app(t)
	open := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would close what is forgotten, some time
	before := open()
	for range 50 {
		site, err := static.New(static.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/", "/robots.txt", "/guide", "/gone.js"} {
			_ = site.Serve(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		}
	}
	if after := open(); after > before+25 { // other tests' connections come and go
		t.Errorf("%d open files before, %d after", before, after)
	}
}

// What is too large to be read for its tag has one by its size and time.
func TestTheTagOfALargeFile(t *testing.T) {
	dir := app(t)
	write(t, dir, map[string]string{"film.mp4": ""})
	h, at, seen := serve(t, static.Options{Dir: dir}), filepath.Join(dir, "film.mp4"), map[string]bool{}
	for _, now := range []struct {
		size int64
		time time.Time
	}{{20 << 20, aged}, {20 << 20, aged.Add(time.Second)}, {21 << 20, aged}} {
		if err := os.Truncate(at, now.size); err != nil { // without taking room
			t.Fatal(err)
		}
		if err := os.Chtimes(at, now.time, now.time); err != nil {
			t.Fatal(err)
		}
		tag := h.ask("HEAD", "/film.mp4").header.Get("Etag")
		if again := h.ask("HEAD", "/film.mp4", "If-None-Match", tag); seen[tag] || again.status != 304 {
			t.Errorf("%v: tag %s, again %d", now, tag, again.status)
		}
		seen[tag] = true
	}
}

// Names that mean something in an address are those of files like others; so are the longest that a disk takes.
func TestOddNamesOfFiles(t *testing.T) {
	dir := app(t)
	long := strings.Repeat("n", 250) + ".txt" // with ".zst" behind it, more than the 255 that a name may have
	names := map[string]string{
		"100%25.txt": "100%.txt", "a%2525b.txt": "a%25b.txt", "a%252fb.txt": "a%2fb.txt", "why%3f.txt": "why?.txt", "c%23.txt": "c#.txt", "a+b&c=d.txt": "a+b&c=d.txt",
		"it's%20%22so%22.txt": `it's "so".txt`, "%E2%80%8Bx.txt": "\u200bx.txt", "a;b.txt": "a;b.txt", long: long, "~x~.txt": "~x~.txt",
		"q%3f/": "q?/index.html", "%25/": "%/index.html",
	}
	for _, name := range names {
		write(t, dir, map[string]string{name: "it"})
	}
	h := serve(t, static.Options{Dir: dir})
	for path := range names {
		if a := h.ask("GET", "/"+path, "Accept-Encoding", "br, gzip, zstd"); a.status != 200 || a.body != "it" {
			t.Errorf("%.40s: %d %s", path, a.status, a.body)
		}
	}
	for path, want := range map[string]string{"/q%3f?x=1": "/q%3f/?x=1", "/%25": "/%25/"} {
		if a := h.ask("GET", path); a.status != 308 || a.header.Get("Location") != want {
			t.Errorf("%s: %d to %q", path, a.status, a.header.Get("Location"))
		}
	}
	if h.log.Len() > 0 {
		t.Errorf("the log: %s", h.log)
	}
}
