package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/linux"
	"github.com/ocirt/ocirt/spec"
)

// descriptorsName is the file in the folder of a checkpoint that names the descriptors
// which the container got from its creator: an array with a text for each, in their order.
// It is only ever compared with what CRIU has saved, so whoever changes it can make a
// restored container lose its streams, and no more.
const descriptorsName = "descriptors.json"

// descriptorNames are how CRIU calls the descriptors that a container is given, for the
// record: what a process does with them later does not change what they were. A file or
// device has no name that could be known now.
func descriptorNames(files []*os.File) (names []string) {
	for i, f := range files {
		if f == nil {
			continue
		}
		st, err := linux.Stat(f)
		if err != nil {
			continue
		}
		if name := streamName(&st); name != "" {
			names = append(names, make([]string, i-len(names))...)
			names = append(names, name)
		}
	}
	return names
}

func streamName(st *unix.Stat_t) string {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFIFO:
		return "pipe:[" + strconv.FormatUint(st.Ino, 10) + "]"
	case unix.S_IFSOCK:
		return "socket:[" + strconv.FormatUint(st.Ino, 10) + "]"
	}
	return ""
}

// descriptors are the names of the descriptors that came from the container's creator, and
// those of them that CRIU must be told of: files that lie on no mount of the container's.
func (c *Container) descriptors(b *spec.Bundle) (names, external []string, err error) {
	if b.Spec.Process != nil && b.Spec.Process.Terminal {
		return nil, nil, nil
	}
	names = append(names, c.rec.Descriptors...)
	for len(names) < 3 {
		names = append(names, "")
	}
	inside, err := mountsOf(strconv.Itoa(c.rec.Pid))
	if err != nil {
		return nil, nil, err
	}
	for fd, name := range names {
		if name != "" && !strings.HasPrefix(name, "pipe:") {
			continue
		}
		key, err := outsideFile(c.rec.Pid, fd, inside)
		if err != nil {
			return nil, nil, err
		}
		if key != "" {
			names[fd] = key
			external = append(external, key)
		}
	}
	return names, external, nil
}

// outsideFile is CRIU's name of an open file on a mount that the container does not have;
// empty if there is none.
func outsideFile(pid, fd int, inside []mount) (string, error) {
	at := fmt.Sprintf("/proc/%d/fd/%d", pid, fd)
	f, err := linux.OpenAt(nil, at, unix.O_PATH, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENXIO) {
		return "", nil // it has closed it
	}
	if err != nil {
		return "", fmt.Errorf("cannot look at descriptor %d of init: %w", fd, err)
	}
	defer f.Close()
	st, err := linux.Stat(f)
	if err != nil {
		return "", err
	}
	id, _, err := linux.MountOf(f)
	if err != nil {
		return "", err
	}
	magic, err := linux.FilesystemOf(f)
	switch {
	case err != nil:
		return "", err
	case magic == pipefsMagic || magic == unix.SOCKFS_MAGIC || magic == unix.ANON_INODE_FS_MAGIC || magic == unix.DEVPTS_SUPER_MAGIC:
		return "", nil
	}
	for _, m := range inside {
		if uint64(m.id) == id {
			return "", nil
		}
	}
	return fmt.Sprintf("file[%x:%x]", id, st.Ino), nil
}

const pipefsMagic = 0x50495045 // PIPEFS_MAGIC of linux/magic.h

// saveDescriptors writes the names into the folder of the checkpoint.
func (d *imageDirs) saveDescriptors(names []string) error {
	data, err := json.Marshal(names)
	if err != nil {
		return err
	}
	at := int(d.images.Fd())
	_ = unix.Unlinkat(at, descriptorsName, 0) // of an earlier checkpoint, or a link
	fd, err := unix.Openat(at, descriptorsName, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("--image-path: cannot make %s: %w", descriptorsName, err)
	}
	f := os.NewFile(uintptr(fd), descriptorsName)
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("--image-path: cannot write %s: %w", descriptorsName, err)
	}
	return nil
}

// maxDescriptors bounds the file, in bytes.
const maxDescriptors = 1 << 20

// loadDescriptors reads the names. A checkpoint without the file has none.
func (d *imageDirs) loadDescriptors() ([]string, error) {
	fd, err := unix.Openat(int(d.images.Fd()), descriptorsName, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("--image-path: cannot open %s: %w", descriptorsName, err)
	}
	f := os.NewFile(uintptr(fd), descriptorsName)
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() || st.Size() > maxDescriptors {
		return nil, fmt.Errorf("--image-path: %s must be an ordinary, small file", descriptorsName)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxDescriptors))
	if err != nil {
		return nil, fmt.Errorf("--image-path: cannot read %s: %w", descriptorsName, err)
	}
	var names []string
	if err := json.Unmarshal(data, &names); err != nil {
		return nil, fmt.Errorf("--image-path: %s: %w", descriptorsName, err)
	}
	return names, nil
}

// isStream reports whether a text is a name as descriptors writes them; the others are
// empty, or not ours.
func isStream(name string) bool {
	for _, kind := range []string{"pipe:[", "socket:[", "file["} {
		inner, ok := strings.CutPrefix(name, kind)
		if inner, ok = cutSuffix(inner, "]", ok); ok {
			return inner != "" && strings.Trim(inner, "0123456789abcdef:") == ""
		}
	}
	return false
}

func cutSuffix(s, suffix string, ok bool) (string, bool) {
	if !ok {
		return s, false
	}
	return strings.CutSuffix(s, suffix)
}
