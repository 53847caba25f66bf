package seccomp

import (
	goruntime "runtime"
	"strconv"
)

// CallName is the name of one of this architecture's own system calls. It is slow: a search
// through all of them.
func CallName(number uint32) string {
	if m, ok := machineOf(native(goruntime.GOARCH)); ok && len(m.abis) > 0 {
		for _, name := range m.abis[0].namesOf(number) {
			return name
		}
	}
	return "call " + strconv.FormatUint(uint64(number), 10)
}
