package lab

import (
	"encoding/json"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A Report is what the checker's "report" prints; see integration/cmd/inside for the
// meaning of the fields.
type Report struct {
	Process struct {
		Pid, Ppid, Session int
		Args, Env          []string
		Cwd                string
	}
	Identity struct {
		UIDs, GIDs, Groups []int
		Umask              string
		NoNewPrivs         bool
		Seccomp, Filters   int
		Caps               map[string][]int `json:"capabilities"`
		Signals            map[string][]int
		Threads            int
	}
	Namespaces map[string]string
	Maps       struct {
		UID, GID  [][]int
		Setgroups string
	}
	System struct {
		Hostname, Domainname, Machine, Release string
	}
	Mounts     []MountEntry
	Interfaces []struct {
		Name      string
		Flags     []string
		Addresses []string
	}
	Cgroups []string
	Limits  map[string]struct {
		Soft, Hard string
	}
	Scheduling struct {
		Policy            string
		Flags             uint64
		Nice, Priority    int
		IOClass, IOLevel  int
		OOMScoreAdj       string
		Personality, CPUs string
	}
	Clocks struct {
		Offsets                       []string
		Monotonic, Boottime, Realtime string
	}
	Files   map[string]string
	Keyring string
	Labels  map[string]string
	Memory  string `json:"memoryPolicy"`
	Errors  map[string]string
}

// A MountEntry is a line of mountinfo.
type MountEntry struct {
	Root, Point, Type, Source   string
	Options, Propagation, Super []string
}

// ParseReport reads a report. Sections that are missing are an error.
func ParseReport(t testing.TB, text string) *Report {
	t.Helper()
	var r Report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for section, why := range r.Errors {
		t.Errorf("the checker cannot see %s: %s", section, why)
	}
	return &r
}

// Mount is the last mount on a point, or nil.
func (r *Report) Mount(point string) *MountEntry {
	for i := len(r.Mounts) - 1; i >= 0; i-- {
		if r.Mounts[i].Point == point {
			return &r.Mounts[i]
		}
	}
	return nil
}

// Namespace is the container's namespace of a kind.
func (r *Report) Namespace(kind specs.LinuxNamespaceType) string {
	return r.Namespaces[ProcName(kind)]
}
