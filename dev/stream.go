package dev

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// maxWait bounds ?ms=, so that a typing mistake does not hold a connection for days.
const maxWait = 10 * time.Minute

// slow answers after ?ms= milliseconds, or not at all if the client leaves before.
func (a *API) slow(w http.ResponseWriter, r *http.Request, _ claims) {
	wait, ok := milliseconds(r, 1000)
	if !ok {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_ms"})
		return
	}
	if pause(r.Context(), wait) {
		writeJSON(w, http.StatusOK, map[string]int64{"waited_ms": wait.Milliseconds()})
	}
}

// stream sends one server-sent event at once and then one each ?ms= milliseconds (a second by default), until the client leaves.
func (a *API) stream(w http.ResponseWriter, r *http.Request, c claims) {
	every, ok := milliseconds(r, 1000)
	if !ok {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_ms"})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	flush := http.NewResponseController(w).Flush
	sub, _ := json.Marshal(c.Sub) // a string is always JSON
	for n := 1; ; n++ {
		_, err := fmt.Fprintf(w, "id: %d\nevent: tick\ndata: {\"n\":%d,\"sub\":%s}\n\n", n, n, sub)
		if err != nil || flush() != nil || !pause(r.Context(), max(every, time.Millisecond)) {
			return
		}
	}
}

// echoBody streams the request's body back while it still arrives.
func (a *API) echoBody(w http.ResponseWriter, r *http.Request, _ claims) {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // HTTP/2 is so already, and says so by an error
	w.Header().Set("Content-Type", orPlain(r.Header.Get("Content-Type")))
	buf := make([]byte, 32<<10) // 32 KiB: what io.Copy would move at once
	for {
		n, err := r.Body.Read(buf)
		if _, werr := w.Write(buf[:n]); werr != nil || control.Flush() != nil || err != nil {
			return
		}
	}
}

func orPlain(contentType string) string {
	if contentType == "" {
		return "application/octet-stream"
	}
	return contentType
}

func milliseconds(r *http.Request, otherwise int) (time.Duration, bool) {
	text := r.URL.Query().Get("ms")
	if text == "" {
		return time.Duration(otherwise) * time.Millisecond, true
	}
	n, err := strconv.Atoi(text)
	return time.Duration(n) * time.Millisecond, err == nil && n >= 0 && n <= int(maxWait/time.Millisecond)
}

// pause waits, and tells whether anyone is still there.
func pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
