package rootfs

import (
	"strings"

	"golang.org/x/sys/unix"
)

// An Attr is a change of mount attributes: the bits MOUNT_ATTR_* to set and to clear.
// What is in neither stays as it is.
type Attr struct{ Set, Clear uint64 }

func (a *Attr) apply(set bool, bit uint64) {
	if set {
		a.Set |= bit
		a.Clear &^= bit
	} else {
		a.Clear |= bit
		a.Set &^= bit
	}
}

// atime chooses one of the atime modes, which are one field and not bits.
func (a *Attr) atime(mode uint64) {
	a.Clear |= unix.MOUNT_ATTR__ATIME
	a.Set = a.Set&^unix.MOUNT_ATTR__ATIME | mode
}

func (a *Attr) noAtime() {
	a.Clear &^= unix.MOUNT_ATTR__ATIME
	a.Set &^= unix.MOUNT_ATTR__ATIME
}

// word applies an option that is a mount attribute; false if it is none. Of words for the
// same attribute the later one wins.
func (a *Attr) word(w string) bool {
	switch w {
	case "ro":
		a.apply(true, unix.MOUNT_ATTR_RDONLY)
	case "rw":
		a.apply(false, unix.MOUNT_ATTR_RDONLY)
	case "nosuid":
		a.apply(true, unix.MOUNT_ATTR_NOSUID)
	case "suid":
		a.apply(false, unix.MOUNT_ATTR_NOSUID)
	case "nodev":
		a.apply(true, unix.MOUNT_ATTR_NODEV)
	case "dev":
		a.apply(false, unix.MOUNT_ATTR_NODEV)
	case "noexec":
		a.apply(true, unix.MOUNT_ATTR_NOEXEC)
	case "exec":
		a.apply(false, unix.MOUNT_ATTR_NOEXEC)
	case "nodiratime":
		a.apply(true, unix.MOUNT_ATTR_NODIRATIME)
	case "diratime":
		a.apply(false, unix.MOUNT_ATTR_NODIRATIME)
	case "nosymfollow":
		a.apply(true, unix.MOUNT_ATTR_NOSYMFOLLOW)
	case "symfollow":
		a.apply(false, unix.MOUNT_ATTR_NOSYMFOLLOW)
	default:
		return a.atimeWord(w)
	}
	return true
}

func (a *Attr) atimeWord(w string) bool {
	mode := a.Set & unix.MOUNT_ATTR__ATIME
	switch w {
	case "relatime", "atime":
		a.atime(unix.MOUNT_ATTR_RELATIME)
	case "noatime":
		a.atime(unix.MOUNT_ATTR_NOATIME)
	case "strictatime":
		a.atime(unix.MOUNT_ATTR_STRICTATIME)
	case "norelatime": // takes back the word before; the kernel knows no such mode
		if mode == unix.MOUNT_ATTR_RELATIME {
			a.noAtime()
		}
	case "nostrictatime":
		if mode == unix.MOUNT_ATTR_STRICTATIME {
			a.noAtime()
		}
	default:
		return false
	}
	return true
}

// A Super is a change of the flags of a file system itself: the bits MS_* to set and to
// clear.
type Super struct{ Set, Clear uintptr }

func (s *Super) word(w string) bool {
	set := true
	var bit uintptr
	switch w {
	case "sync", "rsync":
		bit = unix.MS_SYNCHRONOUS
	case "async", "rasync":
		set, bit = false, unix.MS_SYNCHRONOUS
	case "dirsync", "rdirsync":
		bit = unix.MS_DIRSYNC
	case "mand", "rmand":
		bit = unix.MS_MANDLOCK
	case "nomand", "rnomand":
		set, bit = false, unix.MS_MANDLOCK
	case "lazytime":
		bit = unix.MS_LAZYTIME
	case "nolazytime":
		set, bit = false, unix.MS_LAZYTIME
	case "iversion":
		bit = unix.MS_I_VERSION
	case "noiversion":
		set, bit = false, unix.MS_I_VERSION
	case "silent":
		bit = unix.MS_SILENT
	case "loud":
		set, bit = false, unix.MS_SILENT
	default:
		return false
	}
	if set {
		s.Set, s.Clear = s.Set|bit, s.Clear&^bit
	} else {
		s.Set, s.Clear = s.Set&^bit, s.Clear|bit
	}
	return true
}

// options is what the words of mounts[].options say.
type options struct {
	bind, recursive bool
	remount         bool
	attr, recAttr   Attr // recAttr: the mounts below too
	super           Super
	propagation     []uint64 // MS_*, with MS_REC, applied one after another
	copyUp          bool
	idmap, ridmap   bool
	idmapSpec       string
	copySymlink     bool
	srcNoFollow     bool
	destNoFollow    bool
	data            []string // what is left: for the file system
}

func parseOptions(words []string) options {
	var o options
	for _, w := range words {
		if o.own(w) || o.attr.word(w) || o.super.word(w) {
			continue
		}
		if p := propagation(w); p != 0 {
			o.propagation = append(o.propagation, p)
			continue
		}
		if r, ok := strings.CutPrefix(w, "r"); ok && o.recAttr.recursiveWord(r) {
			continue
		}
		o.data = append(o.data, w)
	}
	return o
}

// recursiveWord is word for the forms with an "r" before them. Taking back an atime mode
// means the kernel's default for all mounts below.
func (a *Attr) recursiveWord(w string) bool {
	if w == "norelatime" || w == "nostrictatime" {
		w = "relatime"
	}
	return a.word(w)
}

// own applies the words that are neither flags nor for the file system.
func (o *options) own(w string) bool {
	switch w {
	case "", "defaults":
	case "bind":
		o.bind = true
	case "rbind":
		o.bind, o.recursive = true, true
	case "remount":
		o.remount = true
	case "tmpcopyup":
		o.copyUp = true
	case "idmap":
		o.idmap = true
	case "ridmap":
		o.idmap, o.ridmap = true, true
	case "copy-symlink":
		o.copySymlink = true
	case "src-nofollow":
		o.srcNoFollow = true
	case "dest-nofollow":
		o.destNoFollow = true
	default:
		spec, ok := strings.CutPrefix(w, "idmap=")
		o.idmap = o.idmap || ok
		if ok {
			o.idmapSpec = spec
		}
		return ok
	}
	return true
}

// propagation is the MS_* flags of a word, 0 if it is none.
func propagation(w string) uint64 {
	switch w {
	case "private":
		return unix.MS_PRIVATE
	case "rprivate":
		return unix.MS_PRIVATE | unix.MS_REC
	case "shared":
		return unix.MS_SHARED
	case "rshared":
		return unix.MS_SHARED | unix.MS_REC
	case "slave":
		return unix.MS_SLAVE
	case "rslave":
		return unix.MS_SLAVE | unix.MS_REC
	case "unbindable":
		return unix.MS_UNBINDABLE
	case "runbindable":
		return unix.MS_UNBINDABLE | unix.MS_REC
	}
	return 0
}
