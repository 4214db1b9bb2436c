package ops_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cloakroom/server/ops"
)

// What no page may read is refused by what browsers say; a page whose name was made to lead here by what they cannot keep back.
func TestThePagesThatGetNoMetrics(t *testing.T) {
	h := ops.Handler(ops.Options{
		Ready:   func() bool { return true },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "bff_x 1\n") }),
	})
	for _, row := range []struct {
		what, host string
		fields     []string
		status     int
	}{
		{"Prometheus, by an address", "10.0.0.5:9090", []string{"User-Agent", "Prometheus/3.1.0", "Accept", "text/plain", "X-Prometheus-Scrape-Timeout-Seconds", "10"}, 200},
		{"Prometheus, by a name", "cloakroom.internal:9090", []string{"User-Agent", "Prometheus/3.1.0"}, 200},
		{"a kubelet", "[fd00::5]:9090", []string{"User-Agent", "kube-probe/1.34", "Connection", "close"}, 200},
		{"a probe with a name of its own", "gateway.example.com", nil, 200},
		{"an operator's browser, by an address", "10.0.0.5:9090", []string{"Accept-Language", "de"}, 200},
		{"an operator's browser at the machine itself", "localhost:9090", []string{"Accept-Language", "de", "Sec-Fetch-Site", "none"}, 200},
		{"a page of another site", "127.0.0.1:9090", []string{"Accept-Language", "de", "Sec-Fetch-Site", "cross-site"}, 403},
		{"a page of the same site", "127.0.0.1:9090", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"a page at this very address", "127.0.0.1:9090", []string{"Sec-Fetch-Site", "same-origin"}, 403},
		{"a page that may read the answer if it could", "127.0.0.1:9090", []string{"Origin", "http://evil.example"}, 403},
		{"a page without metadata", "127.0.0.1:9090", []string{"Referer", "http://evil.example/"}, 403},
		{"two metadata", "127.0.0.1:9090", []string{"Sec-Fetch-Site", "none", "Sec-Fetch-Site", "none"}, 403},
		{"a page whose name leads here", "evil.example:9090", []string{"Accept-Language", "de"}, 403},
		{"a page whose name leads here, and that writes its language", "EVIL.example.", []string{"Accept-Language", ""}, 403},
		{"a page whose name looks like an address", "127.0.0.1.evil.example:9090", []string{"Accept-Language", "de"}, 403},
		{"a page whose name looks like this machine's", "localhost.evil.example", []string{"Accept-Language", "de"}, 403},
	} {
		for path, open := range map[string]bool{"/metrics": false, "/readyz": false, "/healthz": true} {
			r := httptest.NewRequest("GET", "http://x"+path, nil)
			r.Host = row.host
			for i := 0; i < len(row.fields); i += 2 {
				r.Header.Add(row.fields[i], row.fields[i+1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			want := row.status
			if open {
				want = 200
			}
			if w.Code != want || w.Code == 403 && strings.Contains(w.Body.String(), "bff_") {
				t.Errorf("%s at %s: %d, want %d", row.what, path, w.Code, want)
			}
		}
	}
}
