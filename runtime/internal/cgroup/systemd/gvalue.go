package systemd

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/dbus"
)

// cutType cuts the first complete type off a signature; empty if there is none.
func cutType(s string) (first, rest string) {
	if s == "" {
		return "", ""
	}
	switch c := s[0]; {
	case strings.IndexByte("ybnqiuxtdsogv", c) >= 0:
		return s[:1], s[1:]
	case c == 'a' && len(s) > 1 && s[1] == '{':
		key, after := cutType(s[2:])
		value, after := cutType(after)
		if len(key) == 1 && key != "v" && value != "" && strings.HasPrefix(after, "}") {
			return s[:len(s)-len(after)+1], after[1:]
		}
	case c == 'a':
		if elem, after := cutType(s[1:]); elem != "" {
			return s[:len(s)-len(after)], after
		}
	case c == '(':
		after := s[1:]
		for !strings.HasPrefix(after, ")") {
			var field string
			if field, after = cutType(after); field == "" {
				return "", s
			}
		}
		return s[:len(s)-len(after)+1], after[1:]
	}
	return "", s
}

// signature is the type that a value has if its neighbours do not say otherwise; empty if
// only they could.
func (n *node) signature() string {
	if n.typ != "" {
		return n.typ
	}
	switch n.kind {
	case 'n':
		if isFloat(n.text) {
			return "d"
		}
		return "i"
	case 's':
		return "s"
	case 'y':
		return "ay"
	case 'v':
		return "v"
	case '(':
		s := "("
		for _, item := range n.items {
			t := item.signature()
			if t == "" {
				return ""
			}
			s += t
		}
		return s + ")"
	case 'a':
		if t := common(n.items); t != "" {
			return "a" + t
		}
	case '{':
		var keys, values []*node
		for _, e := range n.items {
			keys, values = append(keys, e.items[0]), append(values, e.items[1])
		}
		if k, v := common(keys), common(values); k != "" && v != "" {
			return "a{" + k + v + "}"
		}
	}
	return ""
}

// common is the one type of several values: that of one whose type is explicit, if any is.
func common(items []*node) string {
	best := ""
	for _, item := range items {
		t := item.signature()
		if t == "" {
			continue
		}
		if item.explicit() {
			return t
		}
		if best == "" || best == "i" && t == "d" {
			best = t
		}
	}
	return best
}

// explicit reports whether the text leaves no choice of type.
func (n *node) explicit() bool {
	if n.typ != "" || n.kind == 'y' || n.kind == 'v' {
		return true
	}
	for _, item := range n.items {
		if item.explicit() {
			return true
		}
	}
	return false
}

func isFloat(s string) bool {
	return !strings.HasPrefix(strings.TrimLeft(s, "+-"), "0x") && strings.ContainsAny(s, ".eE")
}

// build makes the value of a type.
func (n *node) build(typ string) (dbus.Value, error) {
	if typ == "" {
		return nil, errors.New("its type cannot be known: an empty array needs one, such as @as []")
	}
	if n.typ != "" && n.typ != typ {
		return nil, fmt.Errorf("a value of type %q where one of %q is wanted", n.typ, typ)
	}
	mismatch := fmt.Errorf("no value of type %q", typ)
	switch {
	case n.kind == 'n':
		return n.number(typ)
	case n.kind == 'b' && typ == "b":
		return dbus.Bool(n.text == "true"), nil
	case n.kind == 's':
		return n.string(typ)
	case n.kind == 'y' && typ == "ay":
		return dbus.Bytes([]byte(n.text)), nil
	case n.kind == 'v' && typ == "v":
		inner, err := n.items[0].build(n.items[0].signature())
		return dbus.Variant{Value: inner}, err
	case n.kind == 'a' && typ[0] == 'a' && typ[1] != '{':
		return n.array(typ[1:])
	case n.kind == '{' && strings.HasPrefix(typ, "a{"):
		return n.array(typ[1:])
	case n.kind == '(' && typ[0] == '(':
		return n.fields(typ[1:len(typ)-1], false)
	case n.kind == 'e' && typ[0] == '{':
		return n.fields(typ[1:len(typ)-1], true)
	}
	return nil, mismatch
}

func (n *node) array(elem string) (dbus.Value, error) {
	a := dbus.Array{Elem: elem}
	for _, item := range n.items {
		v, err := item.build(elem)
		if err != nil {
			return nil, err
		}
		a.Items = append(a.Items, v)
	}
	return a, nil
}

func (n *node) fields(types string, entry bool) (dbus.Value, error) {
	s := dbus.Struct{Entry: entry}
	for _, item := range n.items {
		var typ string
		if typ, types = cutType(types); typ == "" {
			return nil, errors.New("a tuple with too many values")
		}
		v, err := item.build(typ)
		if err != nil {
			return nil, err
		}
		s.Fields = append(s.Fields, v)
	}
	if types != "" || len(s.Fields) == 0 {
		return nil, errors.New("a tuple with too few values")
	}
	return s, nil
}

func (n *node) string(typ string) (dbus.Value, error) {
	switch typ {
	case "s":
		return dbus.String(n.text), nil
	case "o":
		if !isObjectPath(n.text) {
			return nil, fmt.Errorf("%q is not the path of an object", n.text)
		}
		return dbus.Path(n.text), nil
	case "g":
		if len(n.text) > maxSignature {
			return nil, errors.New("too long for a signature")
		}
		for rest := n.text; rest != ""; {
			var typ string
			if typ, rest = cutType(rest); typ == "" {
				return nil, fmt.Errorf("%q is not a signature", n.text)
			}
		}
		return dbus.Sig(n.text), nil
	}
	return nil, fmt.Errorf("a string where a value of type %q is wanted", typ)
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// onlyOf reports whether s is made of these characters.
func onlyOf(s, chars string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return !strings.ContainsRune(chars, c) }) < 0
}

func isObjectPath(s string) bool {
	if s == "/" {
		return true
	}
	if !strings.HasPrefix(s, "/") {
		return false
	}
	for part := range strings.SplitSeq(s[1:], "/") {
		if part == "" || !onlyOf(part, letters+digits+"_") {
			return false
		}
	}
	return true
}

func (n *node) number(typ string) (dbus.Value, error) {
	if typ == "d" {
		v, err := strconv.ParseFloat(n.text, 64)
		if err != nil && !math.IsInf(v, 0) {
			err = fmt.Errorf("%q is not a number", n.text)
		}
		return dbus.Double(v), err
	}
	bits, signed := 0, false
	switch typ {
	case "y":
		bits = 8
	case "n":
		bits, signed = 16, true
	case "q":
		bits = 16
	case "i":
		bits, signed = 32, true
	case "u":
		bits = 32
	case "x":
		bits, signed = 64, true
	case "t":
		bits = 64
	default:
		return nil, fmt.Errorf("a number where a value of type %q is wanted", typ)
	}
	if strings.ContainsAny(n.text, "_oObB") && !strings.Contains(n.text, "x") { // Go's, not GVariant's
		return nil, fmt.Errorf("%q is not a number", n.text)
	}
	if signed {
		v, err := strconv.ParseInt(n.text, 0, bits)
		if err != nil {
			return nil, fmt.Errorf("%q is not a number of %d bits", n.text, bits)
		}
		return map[string]dbus.Value{"n": dbus.Int16(v), "i": dbus.Int32(v), "x": dbus.Int64(v)}[typ], nil
	}
	v, err := strconv.ParseUint(strings.TrimPrefix(n.text, "+"), 0, bits)
	if err != nil {
		return nil, fmt.Errorf("%q is not a number without a sign, of %d bits", n.text, bits)
	}
	return map[string]dbus.Value{"y": dbus.Byte(v), "q": dbus.Uint16(v), "u": dbus.Uint32(v), "t": dbus.Uint64(v)}[typ], nil
}
