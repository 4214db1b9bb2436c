package static

import "os"

// Refused is how much of what stands in a folder's index.html its policy does not let run or apply.
type Refused struct {
	Scripts, Styles      int  // elements, which Options.HashInline would allow
	Handlers, Properties int  // attributes, onload="…" and style="…", which no hash allows
	Base                 bool // a <base> with an address: relative ones begin at the path that is visited instead
}

// Refusals looks at a folder's index.html as it is now. It is an error if that cannot be read, or is no page.
func Refusals(o Options) (Refused, error) {
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return Refused{}, err
	}
	defer root.Close()
	page, info, err := open(root, indexFile)
	if err != nil {
		return Refused{}, err
	}
	defer page.Close()
	found, err := readPage(page, info)
	if err != nil {
		return Refused{}, err
	}
	p := parsePolicy(newRules(o).policy)
	count := func(kind, part string, n int) int {
		if p.allowsInline(kind, part) || part == elements && o.HashInline {
			return 0
		}
		return n
	}
	return Refused{
		Scripts: count("script", elements, len(found.scripts)), Styles: count("style", elements, len(found.styles)),
		Handlers: count("script", attributes, found.handlers), Properties: count("style", attributes, found.properties),
		Base: found.base && !p.allowsBase(),
	}, nil
}
