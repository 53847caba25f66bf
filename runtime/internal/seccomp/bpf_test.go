package seccomp

import (
	"encoding/binary"
	"testing"
)

// Jumps reach their targets at every distance, also through other jumps.
func TestJump(t *testing.T) {
	for distance := range 700 {
		var a assembler
		yes, no := a.ret(1), a.ret(2)
		other := a.load(4, a.jump(opEqual, 7, yes, no)) // a target that is no return
		last := a.ret(3)
		fill := func(n int) {
			for range n {
				last = a.and(0xffffffff, last)
			}
		}
		fill(distance)
		second := a.jump(opFrom, 100, other, yes)
		fill(distance % 300)
		third := a.jump(opAbove, 50, no, other)
		fill(distance % 270)
		a.load(0, a.jump(opFrom, 60, second, third))
		code := a.finish()
		if err := checkFilter(code); err != nil {
			t.Fatalf("distance %d: %v", distance, err)
		}
		for _, test := range []struct{ first, second, want uint32 }{
			{100, 7, 1}, {100, 8, 2}, {99, 7, 1}, {60, 8, 1}, {59, 7, 2}, {51, 7, 2}, {50, 7, 1}, {0, 8, 2},
		} {
			d := binary.LittleEndian.AppendUint32(nil, test.first)
			d = binary.LittleEndian.AppendUint32(d, test.second)
			if got, _ := run(code, d, false); got != test.want {
				t.Fatalf("distance %d: %v gives %d", distance, test, got)
			}
		}
	}
}
