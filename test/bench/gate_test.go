//go:build bench

package bench_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"
)

// ceiling is the most that a proxied request may cost the gateway, as ratios of processor time. It is committed, and
// falls when the gateway got cheaper; it never rises.
type ceiling struct {
	CPUToBare float64 `json:"cpu_to_bare"` // to a bare httputil.ReverseProxy
	CPUToGet  float64 `json:"cpu_to_get"`  // to one that asks Redis for one key
	// Of a body of 1 MiB, to a bare httputil.ReverseProxy.
	DownToBare float64 `json:"mib_down_to_bare"`
	UpToBare   float64 `json:"mib_up_to_bare"`
}

// roomBelow is how far below the ceiling a run must stay before it asks for a lower one: runs differ by about a tenth.
const roomBelow = 0.15

// holdCeiling fails if a run costs more than is committed, or if what is committed has risen.
func holdCeiling(t *testing.T, got ceiling) {
	t.Helper()
	most := readCeiling(t)
	for _, c := range []struct {
		name      string
		got, most float64
	}{{"a bare ReverseProxy", got.CPUToBare, most.CPUToBare}, {"a ReverseProxy with one GET", got.CPUToGet, most.CPUToGet}} {
		switch {
		case c.got > c.most:
			t.Errorf("%.2f times the processor time of %s: the ceiling is %.2f", c.got, c.name, c.most)
		case c.got < c.most-roomBelow:
			t.Logf("%.2f times the processor time of %s, well below the ceiling of %.2f: lower it in ceiling.json", c.got, c.name, c.most)
		}
	}
}

// readCeiling reads what is committed, and refuses a working copy that is above it.
func readCeiling(t *testing.T) (now ceiling) {
	t.Helper()
	text, err := os.ReadFile("ceiling.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &now); err != nil || min(now.CPUToBare, now.CPUToGet, now.DownToBare, now.UpToBare) <= 0 {
		t.Fatalf("ceiling.json: %v, %+v", err, now)
	}
	committed, err := exec.Command("git", "show", "HEAD:./ceiling.json").Output()
	if err != nil { // not a clone, or the commit that brings the file: nothing to compare with
		t.Logf("no committed ceiling to compare with: %v", err)
		return now
	}
	var before ceiling
	if err := json.Unmarshal(committed, &before); err != nil {
		t.Fatal(err)
	}
	rose := func(now, before float64) bool { return before > 0 && now > before }
	if rose(now.CPUToBare, before.CPUToBare) || rose(now.CPUToGet, before.CPUToGet) ||
		rose(now.DownToBare, before.DownToBare) || rose(now.UpToBare, before.UpToBare) {
		t.Errorf("ceiling.json has risen from %+v to %+v: it only falls", before, now)
	}
	return now
}

const (
	fixedRate = 1000            // requests per second, about a tenth of what a bare proxy does here: no queue builds up
	paceTime  = 6 * time.Second // of one contender
)

// paced sends requests at a fixed rate, each at its own time whatever became of the ones before, and tells how long they
// took from when they were due: a stall counts for everybody behind it.
func paced(t *testing.T, c *contender, next func() *http.Request) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 512}}
	defer client.CloseIdleConnections()
	total := int(paceTime.Seconds() * fixedRate)
	took := make([]time.Duration, total)
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range total {
		due, r := begin.Add(time.Duration(i)*time.Second/fixedRate), next()
		time.Sleep(time.Until(due))
		wg.Go(func() {
			if !get(client, c.addr, r) {
				t.Errorf("%s: a request failed", c.name)
			}
			took[i] = time.Since(due)
		})
	}
	wg.Wait()
	took = took[fixedRate:] // the first second opens connections
	slices.Sort(took)
	at := func(share float64) time.Duration {
		return took[int(share*float64(len(took)-1))].Round(10 * time.Microsecond)
	}
	return fmt.Sprintf("median %v, p99 %v, p99.9 %v", at(.5), at(.99), at(.999))
}
