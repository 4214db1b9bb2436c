package static

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
)

// pages remembers the policy that each page of a folder comes with, where what stands in a page is allowed by its hash.
type pages struct {
	known   memo[string]
	reading sync.Mutex // one at a time: a tree takes many times the memory of its page
}

// policyFor is the policy that a file comes with. That of a page is made of the page itself, in whatever form it is sent: of one
// whose compressed sibling says something else the scripts do not run.
func (f *folder) policyFor(root *os.Root, file found, body form, content *os.File) string {
	if !f.hashed || essence(mediaType(file.name)) != "text/html" {
		return f.rules.policy
	}
	page, info := content, body.info
	if body.coding != "" {
		var err error
		if page, info, err = open(root, file.name); err != nil { // gone since: its sibling will be too
			return f.rules.policy
		}
		defer page.Close()
	}
	return f.pages.policy(f.rules.policy, file.name, page, info, f.log)
}

// policy widens the folder's policy to one page. Where that cannot be done it stays as strict as it is, and the log says why.
func (p *pages) policy(base, name string, page io.ReaderAt, info fs.FileInfo, log *slog.Logger) string {
	if known, ok := p.known.look(name, info); ok {
		return known
	}
	p.reading.Lock()
	defer p.reading.Unlock()
	if known, ok := p.known.look(name, info); ok {
		return known
	}
	made := base
	if found, err := readPage(page, info); err != nil {
		log.Warn("inline scripts of a static page not allowed", "name", name, "error", err)
	} else {
		made = parsePolicy(base).allow("script", found.scripts).allow("style", found.styles).String()
	}
	p.known.keep(name, info, made)
	return made
}

// readPage reads what stands in an open page, wherever the file is being read.
func readPage(page io.ReaderAt, info fs.FileInfo) (inline, error) {
	if info.Size() > maxPage {
		return inline{}, fmt.Errorf("it has %d bytes, and is read up to %d", info.Size(), maxPage)
	}
	text, err := io.ReadAll(io.NewSectionReader(page, 0, maxPage))
	if err != nil {
		return inline{}, fmt.Errorf("reading it: %w", err)
	}
	return readInline(text)
}
