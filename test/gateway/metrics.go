package gateway

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Metric returns the value of a metric, by its name, with or without labels as the text format writes them: the sum over all
// series that have these; 0 if there are none.
func (in *Instance) Metric(name string) float64 {
	in.tb.Helper()
	resp, err := http.Get("http://" + in.Ops + "/metrics")
	if err != nil {
		in.tb.Fatal(err)
	}
	defer resp.Body.Close()
	var sum float64
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		value := strings.LastIndexByte(line, ' ') + 1
		if !isOf(strings.TrimSuffix(line[:value], " "), name) {
			continue
		}
		v, err := strconv.ParseFloat(line[value:], 64)
		if err != nil {
			in.tb.Fatal(err)
		}
		sum += v
	}
	return sum
}

// isOf reports whether a series is one of a metric, with at least the labels that are asked for.
func isOf(series, asked string) bool {
	name, labels, _ := strings.Cut(strings.TrimSuffix(series, "}"), "{")
	want, wanted, _ := strings.Cut(strings.TrimSuffix(asked, "}"), "{")
	if name != want {
		return false
	}
	for label := range strings.SplitSeq(wanted, ",") {
		if label != "" && !strings.Contains(","+labels+",", ","+label+",") {
			return false
		}
	}
	return true
}

// AwaitMetric waits until a metric has at least the value.
func (in *Instance) AwaitMetric(name string, least float64) {
	in.tb.Helper()
	for deadline := time.Now().Add(startTime); in.Metric(name) < least; {
		if time.Now().After(deadline) {
			in.tb.Fatalf("%s is %v, waited for %v", name, in.Metric(name), least)
		}
		<-time.After(20 * time.Millisecond)
	}
}
