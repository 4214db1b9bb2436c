package leak

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// The index holds grams of eight bytes, one machine word, taken from each form at such distances that every piece of
// sixteen bytes contains a whole one. So every position of the observed data is looked up once, forms need a ninth of the
// memory that all their pieces would, and a hit is proved by comparing outwards from it.
const (
	gram      = 8                  // bytes
	logFilter = 27                 // the first filter has 2^27 bits, 16 MiB: 2 % full with two million grams, so most positions end there
	golden    = 0x9E3779B97F4A7C15 // 2^64 divided by the golden ratio spreads a word's bits (Knuth, volume 3, section 6.4)
)

// index finds forms of secrets in data.
type index struct {
	forms   []form
	entries []entry
	heads   map[uint64]int32 // gram → first entry + 1
	filter  []uint64
	public  map[string]bool // pieces of minPiece bytes
	texts   [][]byte        // public forms, for secrets shorter than a piece
}

// entry is a gram in a form; next chains entries of the same gram.
type entry struct{ form, offset, next int32 }

// match is data[start:end], which stands in forms[form].
type match struct {
	form       int32
	start, end int
}

func newIndex(secrets []string, public map[string]bool) *index {
	x := &index{heads: map[uint64]int32{}, filter: make([]uint64, 1<<logFilter/64), public: map[string]bool{}}
	for text := range public {
		for _, f := range formsOf(text) {
			x.texts = append(x.texts, f.text)
			for i := 0; i+minPiece <= len(f.text); i++ {
				x.public[string(f.text[i:i+minPiece])] = true
			}
		}
	}
	for _, secret := range secrets {
		for _, f := range formsOf(secret) {
			x.forms = append(x.forms, f)
			x.add(int32(len(x.forms) - 1))
		}
	}
	return x
}

// need is how long a match with a form must be: a piece, or the whole of a shorter form.
func (f form) need() int { return min(minPiece, len(f.text)) }

func (x *index) add(id int32) {
	f := x.forms[id]
	step := f.need() - gram + 1
	for i := 0; i+gram <= len(f.text); i += step {
		key := binary.LittleEndian.Uint64(f.text[i:])
		head := x.heads[key]
		if x.known(head, x.forms[id], i) {
			continue
		}
		x.entries = append(x.entries, entry{id, int32(i), head})
		x.heads[key] = int32(len(x.entries))
		bit := key * golden >> (64 - logFilter)
		x.filter[bit/64] |= 1 << (bit % 64)
	}
}

// known tells whether a chain has the gram already with the same neighbourhood, in which every piece around it lies. Tokens
// of one issuer share most of theirs, and the chains would grow with each.
func (x *index) known(head int32, f form, offset int) bool {
	here := around(f, offset)
	for e := head; e > 0; e = x.entries[e-1].next {
		o := x.entries[e-1]
		if other := x.forms[o.form]; other.need() == f.need() && bytes.Equal(around(other, int(o.offset)), here) {
			return true
		}
	}
	return false
}

func around(f form, offset int) []byte {
	return f.text[max(0, offset-gram):min(len(f.text), offset+2*gram)]
}

// scan returns the maximal matches in data, in order of their first gram.
func (x *index) scan(data []byte) []match {
	var found []match
	last := map[[2]int]int{} // form and diagonal → end of the match there
	for i := 0; i+gram <= len(data); i++ {
		key := binary.LittleEndian.Uint64(data[i:])
		bit := key * golden >> (64 - logFilter)
		if x.filter[bit/64]&(1<<(bit%64)) == 0 {
			continue
		}
		for e := x.heads[key]; e > 0; e = x.entries[e-1].next {
			o := x.entries[e-1]
			diagonal := [2]int{int(o.form), i - int(o.offset)}
			if i < last[diagonal] {
				continue
			}
			m := x.extend(data, i, o)
			if m.end-m.start >= x.forms[o.form].need() {
				last[diagonal] = m.end
				found = append(found, m)
			}
		}
	}
	return found
}

// extend compares outwards from a gram.
func (x *index) extend(data []byte, i int, o entry) match {
	text, offset := x.forms[o.form].text, int(o.offset)
	before, after := 0, gram
	for before < min(i, offset) && data[i-before-1] == text[offset-before-1] {
		before++
	}
	for i+after < len(data) && offset+after < len(text) && data[i+after] == text[offset+after] {
		after++
	}
	return match{form: o.form, start: i - before, end: i + after}
}

// excused tells whether every piece of a match is public text or lies within a longer match, the whole of a secret.
func (x *index) excused(data []byte, m match, whole []match) bool {
	need := x.forms[m.form].need()
	for i := m.start; i+need <= m.end; i++ {
		inside := slices.ContainsFunc(whole, func(w match) bool { return w.end-w.start > m.end-m.start && w.start <= i && i+need <= w.end })
		if !inside && !x.isPublic(data[i:i+need]) {
			return false
		}
	}
	return true
}

func (x *index) isPublic(piece []byte) bool {
	if len(piece) == minPiece {
		return x.public[string(piece)]
	}
	return slices.ContainsFunc(x.texts, func(text []byte) bool { return bytes.Contains(text, piece) })
}
