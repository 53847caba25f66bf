package seccomp

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A truth is what is known of a condition.
type truth int

const (
	no truth = iota
	maybe
	yes
)

// test says whether an entry fits, and on what that depends.
func (e *explainer) test(c *candidate) (when string, t truth) {
	args := e.profile.Syscalls[c.index].Args
	t, word := yes, " and "
	if c.any {
		t, word = no, " or "
	}
	var open []string
	for i := range args {
		one := yes
		if c.via == 0 || args[i].Index != 0 {
			one = e.condition(&args[i])
		}
		if one == maybe {
			open = append(open, conditionText(&args[i]))
		}
		if c.any {
			t = max(t, one)
		} else {
			t = min(t, one)
		}
	}
	if t != maybe {
		open = nil
	}
	when = strings.Join(open, word)
	if c.via == 0 {
		return when, t
	}
	call := uint64(c.via &^ viaIPC)
	if len(e.args) > 0 && e.unknown&1 == 0 {
		mask := uint64(1<<32 - 1)
		if c.via&viaIPC != 0 {
			mask = 0xffff
		}
		if e.args[0]&mask != call {
			return "", no
		}
		return when, t
	}
	text := fmt.Sprintf("arg0 is %d, %s", call, c.name)
	if when != "" {
		text += ", and " + when
	}
	return text, min(t, maybe)
}

// condition says what is known of a condition.
func (e *explainer) condition(c *specs.LinuxSeccompArg) truth {
	if int(c.Index) >= len(e.args) || e.unknown&(1<<c.Index) != 0 {
		return maybe
	}
	v, value, two := e.args[c.Index], c.Value, c.ValueTwo
	if !e.abi.wide {
		v = uint64(uint32(v))
		if c.Op == specs.OpMaskedEqual {
			two = value & two
			if value>>32 == 1<<32-1 {
				two = shorten(two)
			}
			value = uint64(uint32(value))
		} else {
			value = shorten(value)
		}
	}
	var ok bool
	switch c.Op {
	case specs.OpEqualTo:
		ok = v == value
	case specs.OpNotEqual:
		ok = v != value
	case specs.OpLessThan:
		ok = v < value
	case specs.OpLessEqual:
		ok = v <= value
	case specs.OpGreaterThan:
		ok = v > value
	case specs.OpGreaterEqual:
		ok = v >= value
	case specs.OpMaskedEqual:
		ok = v&value == two&maskOf(c, e.abi.wide)
	}
	if ok {
		return yes
	}
	return no
}
