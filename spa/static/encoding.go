package static

import (
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// form is one form of a file: itself, or a sibling that a build has compressed.
type form struct {
	name   string
	info   fs.FileInfo
	coding string // as Content-Encoding names it; "" = none
}

// codings are the siblings that are looked for, the smallest first. Nothing is compressed here: what a build does once
// would be done for each request. zstd is RFC 8878's.
var codings = [...]struct{ coding, extension string }{{"br", ".br"}, {"zstd", ".zst"}, {"gzip", ".gz"}}

// smallest chooses the form of a file that this browser gets, and has the answer vary where there was a choice.
func (f *folder) smallest(root *os.Root, file found, request, answer http.Header) form {
	chosen, best, varies := form{name: file.name, info: file.info}, 0.0, false
	for _, c := range codings {
		info, ok := f.stat(root, file.name+c.extension)
		if !ok {
			continue
		}
		varies = true
		if q := quality(request["Accept-Encoding"], c.coding); q > best && !wantsPieceOfFile(request) {
			chosen, best = form{file.name + c.extension, info, c.coding}, q
		}
	}
	if varies {
		answer.Add("Vary", "Accept-Encoding") // also where the file itself was chosen (RFC 9110 section 12.5.5)
	}
	return chosen
}

// quality reads how much a browser wants a coding: 0 for not at all (RFC 9110 section 12.5.3).
func quality(accepted []string, coding string) (q float64) {
	for _, line := range accepted {
		for member := range strings.SplitSeq(line, ",") {
			name, weight, weighed := strings.Cut(member, ";")
			name = strings.ToLower(strings.TrimSpace(name))
			if name != coding && name != "*" {
				continue
			}
			value := 1.0
			if weighed {
				value = weightOf(weight)
			}
			if name == coding {
				return value // whatever the asterisk says
			}
			q = value
		}
	}
	return q
}

// weightOf reads "q=0.5"; what cannot be read is not wanted.
func weightOf(text string) float64 {
	name, value, _ := strings.Cut(strings.TrimSpace(text), "=")
	q, _ := strconv.ParseFloat(value, 64) // 0 for what is no number; less than 0 is not wanted either
	if !strings.EqualFold(name, "q") || !(q <= 1) {
		return 0
	}
	return q
}

// length is the Content-Length of a whole file.
func length(info fs.FileInfo) []string { return []string{strconv.FormatInt(info.Size(), 10)} }
