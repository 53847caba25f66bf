package rootfs

import (
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOptionWords(t *testing.T) {
	const atime = unix.MOUNT_ATTR__ATIME
	for _, c := range []struct {
		words []string
		want  options
	}{
		{nil, options{}},
		{[]string{"defaults", ""}, options{}},
		{[]string{"bind"}, options{bind: true}},
		{[]string{"rbind"}, options{bind: true, recursive: true}},
		{[]string{"ro"}, options{attr: Attr{Set: unix.MOUNT_ATTR_RDONLY}}},
		{[]string{"ro", "rw"}, options{attr: Attr{Clear: unix.MOUNT_ATTR_RDONLY}}},
		{[]string{"rw", "ro"}, options{attr: Attr{Set: unix.MOUNT_ATTR_RDONLY}}},
		{[]string{"nosuid", "suid", "nodev", "noexec"}, options{attr: Attr{Set: unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC, Clear: unix.MOUNT_ATTR_NOSUID}}},
		{[]string{"noatime"}, options{attr: Attr{Set: unix.MOUNT_ATTR_NOATIME, Clear: atime}}},
		{[]string{"noatime", "strictatime"}, options{attr: Attr{Set: unix.MOUNT_ATTR_STRICTATIME, Clear: atime}}},
		{[]string{"strictatime", "nostrictatime"}, options{}},
		{[]string{"relatime", "norelatime"}, options{}},
		{[]string{"nodiratime", "nosymfollow"}, options{attr: Attr{Set: unix.MOUNT_ATTR_NODIRATIME | unix.MOUNT_ATTR_NOSYMFOLLOW}}},
		{[]string{"rro", "rnosuid", "rdev"}, options{recAttr: Attr{Set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID, Clear: unix.MOUNT_ATTR_NODEV}}},
		{[]string{"rrelatime"}, options{recAttr: Attr{Clear: atime}}},
		{[]string{"rnoatime", "rnorelatime"}, options{recAttr: Attr{Clear: atime}}},
		{[]string{"rnosymfollow"}, options{recAttr: Attr{Set: unix.MOUNT_ATTR_NOSYMFOLLOW}}},
		{[]string{"sync", "dirsync", "async"}, options{super: Super{Set: unix.MS_DIRSYNC, Clear: unix.MS_SYNCHRONOUS}}},
		{[]string{"rprivate", "shared"}, options{propagation: []uint64{unix.MS_PRIVATE | unix.MS_REC, unix.MS_SHARED}}},
		{[]string{"tmpcopyup", "size=1m", "huge"}, options{copyUp: true, data: []string{"size=1m", "huge"}}},
		{[]string{"ridmap", "remount"}, options{idmap: true, ridmap: true, remount: true}},
		{[]string{"idmap=uids=0-1-2"}, options{idmap: true, idmapSpec: "uids=0-1-2"}},
		{[]string{"copy-symlink", "src-nofollow", "dest-nofollow"}, options{copySymlink: true, srcNoFollow: true, destNoFollow: true}},
		{[]string{"lazytime", "nolazytime", "iversion", "silent", "loud", "mand"}, options{super: Super{
			Set: unix.MS_I_VERSION | unix.MS_MANDLOCK, Clear: unix.MS_LAZYTIME | unix.MS_SILENT,
		}}},
	} {
		if got := parseOptions(c.words); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %+v, want %+v", c.words, got, c.want)
		}
	}
}
