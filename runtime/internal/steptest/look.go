package steptest

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// A MountPoint is a line of mountinfo.
type MountPoint struct {
	Device       string // "0:45": mounts of one file system have the same
	Root, Point  string
	Options      []string // of the mount
	Propagation  string   // "shared:1 master:2" or ""
	Type, Source string
	Super        []string // of the file system
}

// Has reports whether the mount has this option itself.
func (m MountPoint) Has(option string) bool { return slices.Contains(m.Options, option) }

// Mounts returns the mounts of the builder's namespace that its root reaches, in order. It
// must be called by the function that Build calls.
func Mounts(t *testing.T, b *step.Sandbox) []MountPoint {
	t.Helper()
	// The container's own procfs, if it has one, knows us by no number.
	fd, err := unix.Openat(int(b.Proc.Fd()), "thread-self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal("open mountinfo:", err)
	}
	f := os.NewFile(uintptr(fd), "mountinfo")
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return ParseMounts(string(text))
}

// ParseMounts reads the text of a mountinfo file.
func ParseMounts(text string) []MountPoint {
	var list []MountPoint
	for line := range strings.Lines(text) {
		before, after, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		f, g := strings.Fields(before), strings.SplitN(after, " ", 3)
		if len(f) < 6 || len(g) < 3 {
			continue
		}
		list = append(list, MountPoint{
			Device: f[2], Root: f[3], Point: f[4], Options: strings.Split(f[5], ","), Propagation: strings.Join(f[6:], " "),
			Type: g[0], Source: g[1], Super: strings.Split(g[2], ","),
		})
	}
	return list
}

// Find returns the topmost mount on a path, as it stands in list.
func Find(t *testing.T, list []MountPoint, point string) MountPoint {
	t.Helper()
	for _, m := range slices.Backward(list) {
		if m.Point == point {
			return m
		}
	}
	t.Fatalf("nothing is mounted on %s; mounts: %v", point, list)
	return MountPoint{}
}
