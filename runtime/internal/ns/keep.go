package ns

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/entry"
)

// keepCapabilities writes the calls after which an execve keeps all capabilities, up to the
// one numbered last, although the user is not root: they become inheritable and then
// ambient (capabilities(7)).
func keepCapabilities(p *entry.Program, last int) {
	ne := binary.NativeEndian
	head, data := make([]byte, 8), make([]byte, 24) // pid 0: the caller
	ne.PutUint32(head, unix.LINUX_CAPABILITY_VERSION_3)
	all := uint64(1)<<(last+1) - 1
	for word := range 6 { // effective, permitted, inheritable; their upper halves follow
		ne.PutUint32(data[4*word:], uint32(all>>(32*(word/3))))
	}
	p.Call(unix.SYS_CAPSET, p.Bytes(head), p.Bytes(data)).Label("make capabilities inheritable")
	for c := range last + 1 {
		p.Call(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, c, 0, 0).Label("make a capability ambient")
	}
}
