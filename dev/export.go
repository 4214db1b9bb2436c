package dev

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	exportSteps = 20              // at least: with less there is no progress to be seen
	exportTakes = 6 * time.Second // long enough to leave the page, short enough to wait

	filesKept    = 200              // bounds the memory; the oldest goes first,
	bytesKept    = 8 << 20          // and here too: a dozen of the longest, thousands of usual ones
	fileKeptFor  = 10 * time.Minute // a user is asked "where shall it go?" in between
	fileNameDate = "2006-01-02"
)

// file is an export that is ready.
type file struct {
	id   string
	sub  string // nobody else gets it, whoever knows its address
	text []byte
	made time.Time
}

// exports are the files that are ready, the newest last.
type exports struct {
	mu    sync.Mutex
	files []file
	bytes int // of their texts
}

func (x *exports) keep(f file) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.files = append(x.files, f)
	x.bytes += len(f.text)
	for len(x.files) > filesKept || x.bytes > bytesKept {
		x.bytes -= len(x.files[0].text)
		x.files[0] = file{} // the list's own memory keeps no text
		x.files = x.files[1:]
	}
}

// find returns a subject's own file that is not too old.
func (x *exports) find(id, sub string, now time.Time) (file, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.files {
		if f.id == id && f.sub == sub && now.Sub(f.made) < fileKeptFor {
			return f, true
		}
	}
	return file{}, false
}

// exportOrders makes a file of the caller's orders, and tells by server-sent events how far it is: progress, and at the end
// ready with the address of the file. A caller who leaves ends it; one who comes again begins anew. A step takes ?ms=
// milliseconds.
func (a *API) exportOrders(w http.ResponseWriter, r *http.Request, c claims) {
	orders := a.orders.of(c.Sub, a.now())
	steps := max(exportSteps, len(orders))
	step, ok := milliseconds(r, int(exportTakes.Milliseconds())/steps)
	if !ok {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_ms"})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	send := func(event, data string) bool {
		_, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, data)
		return err == nil && http.NewResponseController(w).Flush() == nil
	}
	for done := range steps {
		if !send("progress", fmt.Sprintf(`{"done":%d,"total":%d}`, done, steps)) || !pause(r.Context(), step) {
			return
		}
	}
	made := file{id: rand.Text(), sub: c.Sub, text: sheet(orders), made: a.now()}
	a.exports.keep(made)
	if send("progress", fmt.Sprintf(`{"done":%d,"total":%d}`, steps, steps)) {
		send("ready", fmt.Sprintf(`{"href":"/api/orders/export/%s.csv"}`, made.id))
	}
}

// sheet writes orders as CSV (RFC 4180), each cell in quotes: in half of the world's languages a spreadsheet parts cells by
// semicolons, and what somebody typed behind one would begin a cell of its own.
func sheet(orders []Order) []byte {
	var b bytes.Buffer
	line := func(cells ...string) {
		for i, cell := range cells {
			cells[i] = `"` + strings.ReplaceAll(plainCell(cell), `"`, `""`) + `"`
		}
		b.WriteString(strings.Join(cells, ",") + "\r\n") // RFC 4180 section 2
	}
	line("order", "item", "quantity", "placed at", "status")
	for _, o := range orders {
		line(o.ID, o.Item, strconv.Itoa(o.Quantity), o.PlacedAt.Format(time.RFC3339), o.Status)
	}
	return b.Bytes()
}

// formulas begin with one of these, some of them in the wide form of East Asian keyboards (OWASP, CSV Injection; ASVS 1.2.10).
const formulas = "=+-@\t\r\n\x00＝＋－＠"

// plainCell keeps a spreadsheet from taking for a formula what somebody typed.
func plainCell(text string) string {
	if first, size := utf8.DecodeRuneInString(text); size > 0 && strings.ContainsRune(formulas, first) {
		return "'" + text
	}
	return text
}

// exportedFile hands a file over, to be saved.
func (a *API) exportedFile(w http.ResponseWriter, r *http.Request, c claims) {
	id, isCSV := strings.CutSuffix(r.PathValue("file"), ".csv")
	f, ok := a.exports.find(id, c.Sub, a.now())
	if !ok || !isCSV {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "unknown_file"})
		return
	}
	name := "orders-" + f.made.UTC().Format(fileNameDate) + ".csv"
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(f.text)))
	_, _ = w.Write(f.text) // a client that has gone is no concern of the API
}
