package spec

import (
	"sort"
	"strings"
)

// inFileOrder sorts problems by where in the file their subject stands.
func (b *Bundle) inFileOrder(ps Problems) Problems {
	if len(ps) < 2 || b.Raw == nil {
		return ps
	}
	// Where a value is absent, its nearest ancestor says where it should be.
	var pointers []string
	for _, p := range ps {
		for at := p.Pointer; ; at = parent(at) {
			pointers = append(pointers, at)
			if at == "" {
				break
			}
		}
	}
	all := offsets(b.Raw, pointers)
	offs, next := make([]int, len(ps)), 0
	for i, p := range ps {
		n := strings.Count(p.Pointer, "/") + 1
		offs[i] = -1
		for _, o := range all[next : next+n] {
			if offs[i] < 0 {
				offs[i] = o
			}
		}
		next += n
	}
	order := make([]int, len(ps))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return offs[order[i]] < offs[order[j]] })
	out := make(Problems, len(ps))
	for i, j := range order {
		out[i] = ps[j]
	}
	return out
}

func parent(pointer string) string {
	for i := len(pointer) - 1; i >= 0; i-- {
		if pointer[i] == '/' {
			return pointer[:i]
		}
	}
	return ""
}

// offsets finds where in a JSON document the values with these pointers begin;
// -1 for those that are absent or null.
func offsets(raw []byte, pointers []string) []int {
	out := make([]int, len(pointers))
	index := make(map[string][]int, len(pointers))
	for i, p := range pointers {
		out[i] = -1
		index[p] = append(index[p], i)
	}
	d := &decoder{src: string(raw)}
	d.walk("", func(pointer string, offset int) {
		for _, i := range index[pointer] {
			if out[i] < 0 {
				out[i] = offset
			}
		}
	})
	return out
}

// walk visits the value that starts here and all values in it, nulls excepted.
func (d *decoder) walk(pointer string, visit func(pointer string, offset int)) {
	if d.stopped || d.null() {
		return
	}
	c := d.peek()
	visit(pointer, d.pos)
	switch c {
	case '{':
		if d.enter() {
			for d.nextKey() {
				d.walk(string(appendPointer([]byte(pointer), d.key)), visit)
			}
		}
	case '[':
		if d.enter() {
			for i := 0; d.more(']'); i++ {
				p, _ := place(i)
				d.walk(pointer+p, visit)
			}
		}
	default:
		d.skip()
	}
}
