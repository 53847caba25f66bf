package contract

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Versions are mixed on every host: what one of them does not know it passes by.
func TestRule21UnknownKeysAreTolerated(t *testing.T) {
	r := bench(t)
	b := sleeper(t)
	change(t, b.Dir+"/config.json", func(doc map[string]any) {
		doc["fromTheFuture"] = map[string]any{"a": []any{1, "b", nil}}
		doc["process"].(map[string]any)["newProperty"] = true
		doc["linux"].(map[string]any)["newProperty"] = 1
	})
	id := r.ID()
	r.Do("create", "--bundle", b.Dir, id).OK()
	change(t, filepath.Join(r.Root, id, "state.json"), func(doc map[string]any) {
		doc["from_the_future"] = map[string]any{"x": 1}
		doc["cgroup_new"] = []any{}
	})
	quiet(t, r.Do("start", id))
	if res := r.Do("state", id).OK(); !strings.Contains(res.Stdout, `"running"`) || res.Stderr != "" {
		t.Errorf("%v", res)
	}
	if res := r.Do("list", "-q").OK(); res.Stdout != id+"\n" || res.Stderr != "" {
		t.Errorf("%v", res)
	}
	quiet(t, r.Do("kill", id, "9"))
	quiet(t, r.Do("delete", "--force", id))
	r.NothingLeft()
}

// change rewrites a JSON document.
func change(t *testing.T, path string, edit func(map[string]any)) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(read(t, path)))
	d.UseNumber()
	var doc map[string]any
	must(t, d.Decode(&doc))
	edit(doc)
	data, err := json.Marshal(doc)
	must(t, err)
	st, err := os.Stat(path)
	must(t, err)
	must(t, os.WriteFile(path, data, st.Mode().Perm()))
}

// keysOfVersion1 are what the first version wrote. A later one may add keys; it reads, and
// writes, these as they are, because containers outlive the program that made them and
// monitoring reads the first ones.
func keysOfVersion1() []string {
	return []string{
		"id", "init_process_pid", "init_process_start", "cgroup_paths", "created", "version",
	}
}

func TestRule24StateIsReadByLaterVersions(t *testing.T) {
	r := bench(t)
	c := r.Create(sleeper(t))
	path := filepath.Join(r.Root, c.ID, "state.json")
	var doc map[string]any
	must(t, json.Unmarshal([]byte(read(t, path)), &doc))
	for _, key := range keysOfVersion1() {
		if _, ok := doc[key]; !ok {
			t.Errorf("state.json has no %s", key)
		}
	}
	if pid, _ := doc["init_process_pid"].(float64); int(pid) != c.Pid {
		t.Errorf("init_process_pid is %v, want %d", doc["init_process_pid"], c.Pid)
	}
	for name, dir := range doc["cgroup_paths"].(map[string]any) {
		if data, err := os.ReadFile(dir.(string) + "/cgroup.procs"); err != nil || !strings.Contains(string(data), fmt.Sprint(c.Pid)) {
			t.Errorf("cgroup_paths[%q] is %v, where the process is not: %v", name, dir, err)
		}
	}
	// One of the first version had nothing but what is needed.
	change(t, path, func(doc map[string]any) {
		for key := range doc {
			if !minimal(key) {
				delete(doc, key)
			}
		}
		doc["version"] = 1
	})
	quiet(t, r.Do("start", c.ID))
	if s := c.State(); s.Status != "running" || s.Pid != c.Pid {
		t.Errorf("%+v", s)
	}
	quiet(t, r.Do("kill", c.ID, "9"))
	stopped(t, c)
	quiet(t, r.Do("delete", c.ID))
	r.NothingLeft()
}

// minimal are the keys without which a record says nothing.
func minimal(key string) bool {
	switch key {
	case "id", "token", "boot_id", "created", "phase", "bundle", "rootfs", "oci_config", "init_process_pid", "init_process_start",
		"init_calls", "cgroup_paths", "cgroup", "pid_namespace":
		return true
	}
	return false
}

// The files that engines read beside the command line.
func TestFilesThatCallersRead(t *testing.T) {
	r := bench(t)
	limit := int64(32 << 20)
	b := sleeper(t, func(s *specs.Spec) {
		s.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}
	})
	was := read(t, b.Dir+"/config.json")
	before := names(t, b.Dir)
	c := r.Create(b, "--pid-file", b.Dir+"/init.pid")
	// A created container is in its cgroup already: shims look there before start.
	if cgroup := read(t, fmt.Sprintf("/proc/%d/cgroup", c.Pid)); !strings.Contains(cgroup, c.ID) {
		t.Errorf("a created container is in %s", cgroup)
	}
	for _, name := range []string{"net", "pid", "ipc", "uts", "mnt"} {
		ours, err := os.Readlink("/proc/self/ns/" + name)
		must(t, err)
		theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", c.Pid, name))
		must(t, err)
		if ours == theirs {
			t.Errorf("a created container is in our %s namespace", name)
		}
	}
	c.Start()
	c.Kill("9").OK()
	stopped(t, c)
	if read(t, b.Dir+"/config.json") != was || names(t, b.Dir) != strings.Replace(before+" init.pid", "config.json rootfs init.pid", "config.json init.pid rootfs", 1) {
		t.Errorf("the bundle has %s, and had %s", names(t, b.Dir), before)
	}
	quiet(t, r.Do("delete", c.ID))
}
