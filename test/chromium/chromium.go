// Package chromium drives a real browser for tests: it starts a journey, a module under journeys/ that playwright-core runs in
// Chromium, does outside what the journey asks for, and hands on every answer that the browser got.
//
// It knows Node and where Chromium is. It does not know the gateway.
package chromium

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Answer is what the browser got for one request.
type Answer struct {
	URL     string            `json:"url"`
	Method  string            `json:"method"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"` // lower-case names; several of a name joined by newlines
	Body    string            `json:"body"`    // each byte as one character; of a file that never changes only the first time
	Unread  bool              `json:"unread"`  // the page moved on before the body was read
}

// Header returns the fields as net/http has them.
func (a Answer) Header() http.Header {
	h := http.Header{}
	for name, value := range a.Headers {
		h.Set(name, value)
	}
	return h
}

// Stored is what a script of a page can get at.
type Stored struct {
	Cookie    string   `json:"cookie"`
	Local     string   `json:"local"`
	Session   string   `json:"session"`
	Databases []string `json:"databases"`
	Caches    []string `json:"caches"`
	Globals   []string `json:"globals"`
	HTML      string   `json:"html"`
}

// Journey is one run of a journey.
type Journey struct {
	Name     string
	Given    map[string]any                               // what the journey gets
	Asked    func(what string) (answer string, err error) // does outside what the journey asks for
	Answered func(a Answer)                               // is handed every answer; nil: nobody is, and none is read
	Holds    func(t *testing.T, s Stored)                 // is handed what the browser holds whenever the journey looks; may be nil
}

// message is one line of run.mjs.
type message struct {
	Answer *Answer `json:"answer"`
	Stored *Stored `json:"stored"`
	Ask    string  `json:"ask"`
	Step   string  `json:"step"`
	Done   bool    `json:"done"`
	Failed string  `json:"failed"`
}

// Run runs a journey to its end. What fails in it fails the test.
func Run(t *testing.T, j Journey) {
	t.Helper()
	node, in, out := start(t, j)
	done := false
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var m message
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%s: %v in %.200q", j.Name, err, line)
		}
		done = done || m.Done
		j.hear(t, m, in)
	}
	if err := node.Wait(); err != nil || !done {
		t.Errorf("%s did not come to its end: %v", j.Name, err)
	}
}

// hear acts on one message.
func (j Journey) hear(t *testing.T, m message, in io.Writer) {
	t.Helper()
	switch {
	case m.Answer != nil && j.Answered != nil:
		j.Answered(*m.Answer)
	case m.Stored != nil && j.Holds != nil:
		j.Holds(t, *m.Stored)
	case m.Ask != "":
		answer, err := j.Asked(m.Ask)
		if answer = "ok " + answer; err != nil {
			answer = err.Error()
		}
		_, _ = io.WriteString(in, strings.ReplaceAll(answer, "\n", " ")+"\n") // a journey that is gone fails by itself
	case m.Step != "":
		t.Log(m.Step)
	case m.Failed != "":
		t.Error(m.Failed)
	}
}

// start starts Node on run.mjs.
func start(t *testing.T, j Journey) (*exec.Cmd, io.Writer, io.Reader) {
	t.Helper()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("Chromium is needed: run make tools as root on Debian, or install it")
	}
	if _, err := os.Stat(filepath.Join(folder(), "node_modules", "playwright-core")); err != nil {
		t.Fatal("the Node packages are missing: run make tools")
	}
	given := map[string]any{"chromium": browser, "hears": j.Answered != nil}
	for name, value := range j.Given {
		given[name] = value
	}
	text, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", "run.mjs", j.Name)
	node.Dir, node.Stderr = folder(), os.Stderr
	in, err1 := node.StdinPipe()
	out, err2 := node.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = in.Write(append(text, '\n')) // a Node that is gone is told by Wait
	return node, in, out
}

// folder is where this package lies: the journeys are beside it.
func folder() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}
