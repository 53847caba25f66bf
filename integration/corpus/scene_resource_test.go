package corpus

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// pureV2 reports whether this host has cgroup v2 alone.
func pureV2() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

func resourceScenes() map[string]scene {
	all := map[string]scene{
		"R-03":  {play: tooLittleMemory},
		"R-25b": {words: []string{"hugepageLimits[0]", "hugetlb"}},
		"R-29":  {words: []string{`rdma["nope0"]`, `"rdma"`}},
		"R-36":  {play: groupInUse},
		"R-37":  {play: frozenGroup},
		"R-38b": {play: ownGroup},
	}
	// What the controller says if the host has it; otherwise that it is not there.
	if huge, _ := filepath.Glob("/sys/fs/cgroup/hugetlb"); huge != nil || controls("hugetlb") {
		all["R-25b"] = scene{}
	}
	if controls("rdma") {
		all["R-29"] = scene{words: []string{`linux.resources.rdma["nope0"]: no such RDMA device "nope0"`}}
	}
	other, need, why := []string{"R-07", "R-24", "R-29c"}, "cgroup2", "only cgroup v2 has it"
	if pureV2() {
		other, need, why = []string{"R-23", "R-30"}, "cgroup1", "only cgroup v1 has it"
	}
	for _, id := range other {
		all[id] = scene{skip: need, why: why}
	}
	return all
}

// controls reports whether the host's cgroup v2 has a controller.
func controls(name string) bool {
	text, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	return err == nil && strings.Contains(" "+strings.TrimSpace(string(text))+" ", " "+name+" ")
}

// tooLittleMemory runs a container whose limit no process can live with: whenever it dies,
// the error says why.
func tooLittleMemory(s *stage) {
	s.put("/linux/resources/memory", map[string]int{"limit": 4096, "swap": 4096})
	s.write(&row{})
	rec := s.fails("run", s.runtime.ID())
	for _, w := range []string{"linux.resources.memory.limit: 4096 is too small", "container init was OOM-killed"} {
		if !strings.Contains(rec.Msg, w) {
			s.Errorf("the error does not say %q: %s", w, rec.Msg)
		}
	}
}

// groupInUse gives a container the group of one that runs.
func groupInUse(s *stage) {
	s.put("/linux/cgroupsPath", "/ocirt-"+s.runtime.ID())
	s.write(&row{})
	first, second := s.runtime.ID(), s.runtime.ID()
	if res := s.do("create", first); res.Code != 0 {
		s.Fatal(res)
	}
	rec := s.fails("create", second)
	if w := "container's cgroup is not empty: 1 process(es) found"; !strings.Contains(rec.Msg, w) {
		s.Errorf("the error does not say %q: %s", w, rec.Msg)
	}
	// The one that was first is none the worse for it.
	if res := s.runtime.Do("state", first).OK(); !strings.Contains(res.Stdout, `"created"`) {
		s.Error(res)
	}
	s.runtime.Do("delete", first).OK()
}

// frozenGroup gives a container a group that is frozen.
func frozenGroup(s *stage) {
	name := "ocirt-" + s.runtime.ID()
	dir, file, frozen := "/sys/fs/cgroup/freezer/"+name, "freezer.state", "FROZEN"
	if pureV2() {
		dir, file, frozen = "/sys/fs/cgroup/"+name, "cgroup.freeze", "1"
	}
	need.Feature(s, "freezer", os.Mkdir(dir, 0o755) == nil, "no freezer")
	defer func() { must(s, os.Remove(dir)) }()
	must(s, os.WriteFile(filepath.Join(dir, file), []byte(frozen), 0o600))
	if pureV2() && !lab.Eventually(func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "cgroup.events"))
		return err == nil && strings.Contains(string(text), "frozen 1")
	}) {
		s.Fatal("it does not freeze")
	}
	s.put("/linux/cgroupsPath", "/"+name)
	s.write(&row{})
	rec := s.fails("create", s.runtime.ID())
	if w := "container's cgroup unexpectedly frozen"; !strings.Contains(rec.Msg, w) {
		s.Errorf("the error does not say %q: %s", w, rec.Msg)
	}
}

// ownGroup asks for the group that the runtime is in.
func ownGroup(s *stage) {
	text, err := os.ReadFile("/proc/self/cgroup")
	must(s, err)
	own := ""
	for line := range strings.Lines(string(text)) {
		if _, path, ok := strings.Cut(strings.TrimSpace(line), ":/"); ok && path != "" {
			own = "/" + path
		}
	}
	need.Feature(s, "owncgroup", own != "", "the tests run at the top of every hierarchy")
	s.put("/linux/cgroupsPath", own)
	s.write(&row{})
	rec := s.fails("create", s.runtime.ID())
	if w := "linux.cgroupsPath: must not be the cgroup of the runtime itself"; !strings.Contains(rec.Msg, w) {
		s.Errorf("the error does not say %q: %s", w, rec.Msg)
	}
}
