package rootfs

import "slices"

// OptionWords are the mount options that are understood here, sorted, and are not for a
// file system; without those of id-mapped mounts, which engines look for in another place
// (features.md, mountExtensions).
func OptionWords() []string {
	attributes := []string{
		"atime", "dev", "diratime", "exec", "noatime", "nodev", "nodiratime", "noexec", "norelatime", "nostrictatime",
		"nosuid", "nosymfollow", "relatime", "ro", "rw", "strictatime", "suid", "symfollow",
	}
	words := []string{
		"async", "bind", "copy-symlink", "defaults", "dest-nofollow", "dirsync", "iversion", "lazytime", "loud", "mand",
		"noiversion", "nolazytime", "nomand", "private", "rasync", "rbind", "rdirsync", "remount", "rmand", "rnomand",
		"rprivate", "rshared", "rslave", "rsync", "runbindable", "shared", "silent", "slave", "src-nofollow", "sync",
		"tmpcopyup", "unbindable",
	}
	for _, w := range attributes {
		words = append(words, w, "r"+w)
	}
	slices.Sort(words)
	return words
}
