package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/cgroup/systemd"
)

// Systemd knows memory.oom.group as OOMPolicy, which can be set only when a unit starts, and
// writes the file whenever it writes any. So an update of it is written after systemd has
// written, and a drop-in of the unit tells a systemd that reads its configuration again.

const oomGroup = "memory.oom.group"

// oomSetting is the wish for memory.oom.group among settings.
func oomSetting(settings []setting) (setting, bool) {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.file == oomGroup })
	if i < 0 {
		return setting{}, false
	}
	return settings[i], true
}

// setOOMGroup writes memory.oom.group of a unit, of which systemd has just been told
// something. Without a wish for it the value is the one from before the first wish.
func (g *Group) setOOMGroup(m *systemd.Manager, l list, before string) error {
	s, asked := oomSetting(l.settings)
	if !asked {
		g.dropIn().remove()
		if before == "" {
			return nil
		}
		s = setting{file: oomGroup, value: before, may: true}
	}
	if err := m.Settle(); err != nil {
		return err
	}
	p, there, err := g.place(s)
	if err != nil || !there {
		return err
	}
	if err := p.set(p.value); err != nil {
		return g.refused(p, err)
	}
	if asked && m.Version >= 253 {
		// Without it the value holds until systemd writes the next time.
		_ = g.dropIn().write("[Scope]\nOOMPolicy=" + oomWord(s.value) + "\n")
	}
	return nil
}

// oomWord is what systemd calls a value of memory.oom.group; empty if it is none.
func oomWord(value string) string {
	switch strings.TrimSpace(value) {
	case "0":
		return "continue"
	case "1":
		return "kill"
	}
	return ""
}

// oomGroupNow is what memory.oom.group holds; empty if there is no such file.
func (g *Group) oomGroupNow() string {
	dir, v2, ok := g.Dir("memory")
	if !ok || !v2 {
		return ""
	}
	text, err := readIn(dir, oomGroup)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(text)
}

// A dropIn is a file that adds to the description of a unit, as long as the host is up.
type dropIn string

// dropIn is ours of the group's unit; empty if it is no scope.
func (g *Group) dropIn() dropIn {
	if g.Unit == nil || !strings.HasSuffix(g.Unit.Name, ".scope") {
		return ""
	}
	dir := "/run/systemd/system/"
	if g.Unit.User {
		home := os.Getenv("XDG_RUNTIME_DIR")
		if home == "" {
			home = "/run/user/" + strconv.Itoa(instance(true).UID)
		}
		dir = home + "/systemd/user/"
	}
	return dropIn(dir + g.Unit.Name + ".d/50-ocirt.conf")
}

func (d dropIn) write(text string) error {
	if d == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(string(d)), 0o755); err != nil {
		return err
	}
	return os.WriteFile(string(d), []byte(text), 0o644)
}

// remove removes the file and, if nobody else has put one there, its folder. That there is
// none is the rule.
func (d dropIn) remove() {
	if d == "" || errors.Is(unix.Unlink(string(d)), unix.ENOENT) {
		return
	}
	_ = unix.Rmdir(filepath.Dir(string(d)))
}
