package cloakroom_test

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// scalekitRows are the acceptance rows of Scalekit's contract: what its documentation promises to applications, turned into
// what a gateway in front of them must do. Each is named by the test that shows it, as "shows SCALEKIT-A1".
//
//	A  the shared session and its apps     K  tokens and sessions
//	T  kinds of apps                       O  sign-out
//	S  setting up                          E  errors at the callback
//	L  sign-in and callback                F  what users ask        M  the Management API
var scalekitRows = map[string]int{"A": 9, "T": 5, "S": 6, "L": 10, "K": 11, "O": 7, "E": 5, "F": 4, "M": 7}

// elsewhere are rows that no test of ours shows, and why.
var elsewhere = map[string]string{}

// Every row is shown by a test, or it is said why none can; and nobody claims to show one that there is not.
func TestRowsOfScalekitsContractAreShown(t *testing.T) {
	shown := map[string]string{}
	row := regexp.MustCompile(`SCALEKIT-([A-Z][0-9]+)`)
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			if !strings.HasPrefix(line, "// shows ") {
				continue
			}
			for _, m := range row.FindAllStringSubmatch(line, -1) {
				shown[m[1]] = path
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range scalekitIDs() {
		if why := elsewhere[id]; (shown[id] == "") == (why == "") {
			t.Errorf("SCALEKIT-%s: shown in %q, and told as elsewhere: %q; want one of the two", id, shown[id], why)
		}
		delete(shown, id)
	}
	for id, path := range shown {
		t.Errorf("%s shows SCALEKIT-%s, which is no row", path, id)
	}
}

// scalekitIDs lists the rows.
func scalekitIDs() (ids []string) {
	for group, n := range scalekitRows {
		for i := 1; i <= n; i++ {
			ids = append(ids, group+strconv.Itoa(i))
		}
	}
	slices.Sort(ids)
	return ids
}
