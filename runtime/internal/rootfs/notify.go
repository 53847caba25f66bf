package rootfs

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// NotifySocket compiles the place of the socket for sd_notify: a folder of ours with
// nothing else in it. The socket itself is made by start. The mount is cut off from the
// host's: what the container mounts on it stays in the container.
func NotifySocket(in *step.Input, emit step.Emit) error {
	if in.Options.NotifyDir == "" || in.Namespace(specs.MountNamespace) == nil {
		return nil
	}
	emit("ocirt", AttachTree{
		Source: in.Options.NotifyDir, Place: Place{UnsafePath: step.NotifyPlace},
		Attr: Attr{Set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC},
		Host: unix.MS_PRIVATE | unix.MS_REC, Propagation: []uint64{unix.MS_PRIVATE},
	})
	return nil
}
