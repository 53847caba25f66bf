package resources

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// What is wrong on the command line is said with the flag and the value, and changes nothing.
func TestUpdateFlags(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever))
	c.Says("up")
	before := snapshot(t, c)
	for flag, says := range map[string]string{
		"--memory=1Q":                        `invalid value for memory: "1Q" is not an amount of memory, such as 512m`,
		"--memory=":                          "",
		"--memory=99999999999g":              `invalid value for memory: "99999999999g" is too large`,
		"--memory=-5":                        `invalid value for memory: "-5" is not an amount of memory, such as 512m`,
		`--memory=1},"pids":{"limit":5`:      `invalid value for memory: "1},\"pids\":{\"limit\":5" is not an amount of memory, such as 512m`,
		"--memory-swap=x":                    `invalid value for memory-swap: "x" is not an amount of memory, such as 512m`,
		"--memory-reservation=1.2.3m":        `invalid value for memory-reservation: "1.2.3m" is not an amount of memory, such as 512m`,
		"--cpuset-cpus=abc":                  `invalid value for cpuset-cpus: bad list "abc"`,
		"--cpuset-cpus=3-1":                  `invalid value for cpuset-cpus: bad list "3-1"`,
		"--cpuset-mems=0,,1":                 `invalid value for cpuset-mems: bad list "0,,1"`,
		"--pids-limit=x":                     `invalid value for pids-limit: "x" is not a number`,
		"--pids-limit=-5":                    `invalid value for pids-limit: -5 is not allowed (-1 means unlimited)`,
		"--blkio-weight=5":                   `invalid value for blkio-weight: out of range (10 to 1000), found 5`,
		"--blkio-weight=70000":               `invalid value for blkio-weight: out of range (10 to 1000), found 70000`,
		"--cpu-period=10":                    `invalid value for cpu-period: out of range (1000 to 1000000), found 10`,
		"--cpu-period=-1":                    `invalid value for cpu-period: "-1" is not a number`,
		"--cpu-quota=99999999999999999999":   `invalid value for cpu-quota: "99999999999999999999" is too large`,
		"--cpu-quota=5":                      `invalid value for cpu-quota: smaller than 1000, found 5`,
		"--cpu-share=1":                      `invalid value for cpu-share: smaller than 2, found 1`,
		"--cpu-burst=x":                      `invalid value for cpu-burst: "x" is not a number`,
		"--cpu-idle=2":                       `invalid value for cpu-idle: 2 is out of range (0 to 1)`,
		"--cpu-idle=-1":                      `invalid value for cpu-idle: -1 is out of range (0 to 1)`,
		"--cpu-rt-runtime=x":                 `invalid value for cpu-rt-runtime: "x" is not a number`,
		"--l3-cache-schema=L3:0=f":           "Intel RDT/CAT: l3 cache schema is not enabled",
		"--mem-bw-schema=MB:0=50":            "Intel RDT/MBA: memory bandwidth schema is not enabled",
		"--nosuch=1":                         "flag provided but not defined: -nosuch",
		"--resources=/nosuch/resources.json": "resources.json: no such file or directory",
	} {
		if says == "" {
			r.Do("update", c.ID, flag).OK()
			continue
		}
		res := r.Do("update", flag, c.ID)
		if res.Code != 1 || !strings.Contains(unquote(res.Stderr), says) {
			t.Errorf("%s: want %q, got %v", flag, says, res)
		}
	}
	if after := snapshot(t, c); after != before {
		t.Errorf("something has changed:\n%s\nwas\n%s", after, before)
	}
	r.Do("update").Failed(`"update\" requires exactly 1 argument(s)`)
	r.Do("update", "nosuch-"+c.ID, "--pids-limit", "5").Failed("container does not exist")
}

// unquote undoes the quoting of a log line.
func unquote(text string) string {
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(text)
}

// Of a file and flags the file counts, as with runc; what is obsolete is said to be.
func TestUpdateFileAndFlags(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever))
	r.Do("update", "--resources", writeJSON(t, `{"pids":{"limit":41}}`), "--pids-limit", "42", c.ID).OK()
	groupOf(t, c, "pids").want("pids.max", "pids.max", "41", "41")
	if res := r.Do("update", c.ID, "--kernel-memory", "10M").OK(); !strings.Contains(res.Stderr, "memory.kernel: deprecated, ignored on cgroup v2") {
		t.Errorf("%v", res)
	}
	// Units are powers of 1024 whichever way they are written, and one dash will do.
	for value, want := range map[string]string{
		"50M": "52428800", "51200k": "52428800", "0.5g": "536870912", "64MiB": "67108864", "67108864": "67108864", "32 mb": "33554432",
	} {
		r.Do("update", "-memory", value, "-memory-swap="+value, c.ID).OK()
		groupOf(t, c, "memory").want("memory.limit_in_bytes", "memory.max", want, want)
	}
}

// The form of the file is judged as strictly as that of config.json, by the name of the file.
func TestUpdateFileForm(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever))
	c.Says("up")
	before := snapshot(t, c)
	for _, row := range []struct{ json, says string }{
		{``, "resources.json: empty file"},
		{`null`, "resources.json: expected an object, found null"},
		{`[]`, "resources.json: expected an object, found array"},
		{`{"pids":{"limit":5}} x`, "resources.json: trailing data after the document at byte"},
		{`{"pids":{"limit":5},"pids":{"limit":6}}`, "resources.json: pids: duplicate key"},
		{`{"memory":{"limit":"1G"}}`, "resources.json: memory.limit: expected a number, found string"},
		{`{"memory":{"limit":-5}}`, "resources.json: memory.limit: -5 is not allowed (-1 means unlimited)"},
		{`{"memory":{"limit":9223372036854775808}}`, "resources.json: memory.limit: 9223372036854775808 is out of range"},
		{`{"memory":{"limit":100,"swap":50}}`, "resources.json: memory.swap: smaller than limit: 50 is below 100"},
		{`{"memory":{"swappiness":101}}`, "resources.json: memory.swappiness: 101 is out of range (0 to 100)"},
		{`{"pids":{"limit":-5}}`, "resources.json: pids.limit: -5 is not allowed (-1 means unlimited)"},
		{`{"cpu":{"period":0,"quota":5000}}`, "resources.json: cpu.period: out of range (1000 to 1000000), found 0"},
		{`{"cpu":{"shares":1}}`, "resources.json: cpu.shares: smaller than 2, found 1"},
		{`{"cpu":{"cpus":"0-"}}`, `resources.json: cpu.cpus: bad list "0-"`},
		{`{"cpu":{"quota":5000,"burst":6000}}`, "resources.json: cpu.burst: larger than quota: 6000 is above 5000"},
		{`{"cpu":{"idle":2}}`, "resources.json: cpu.idle: 2 is out of range (0 to 1)"},
		{`{"unified":{"../../x":"1"}}`, `resources.json: unified["../../x"]: not a cgroup file name`},
		{`{"unified":{"cgroup.procs":"1"}}`, `resources.json: unified["cgroup.procs"]: is managed by the runtime`},
		{`{"hugepageLimits":[{"pageSize":"../x","limit":1}]}`, `resources.json: hugepageLimits[0].pageSize: unsupported "../x"`},
		{`{"blockIO":{"weight":5}}`, "resources.json: blockIO.weight: out of range (10 to 1000), found 5"},
		{`{"devices":[{"allow":true,"type":"x","access":"r"}]}`, `resources.json: devices[0].type: unknown "x"`},
		{`{"devices":[{"allow":true,"type":"c","access":"q"}]}`, `resources.json: devices[0].access: unknown letter "q"`},
		{strings.Repeat(`{"a":`, 2000), "resources.json: "},
		{`{"memory":null,"cpu":null,"blockIO":null,"pids":null}`, ""},
		{`{}`, ""},
	} {
		res := r.Do("update", "--resources", writeJSON(t, row.json), c.ID)
		if (row.says == "") != (res.Code == 0) || !strings.Contains(unquote(res.Stderr), row.says) || strings.Contains(res.Stderr, "config.json") {
			t.Errorf("%.60s: want %q, got %v", row.json, row.says, res)
		}
		if after := snapshot(t, c); after != before {
			t.Fatalf("%.60s changed something:\n%s\nwas\n%s", row.json, after, before)
		}
	}
	fifo := filepath.Join(lab.Dir(t), "resources.json")
	must(t, mkfifo(fifo))
	r.Do("update", "--resources", fifo, c.ID).Failed("resources.json: not a regular file")
	r.Do("update", "--resources", lab.Dir(t), c.ID).Failed("not a regular file")
	if res := update(r, c, `{"memory":{"limit":-5}}`); !strings.Contains(res.Stderr, "standard input: memory.limit: -5 is not allowed") {
		t.Errorf("%v", res)
	}
}

// An unknown key changes nothing and is told of.
func TestUpdateUnknownKey(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever))
	if res := update(r, c, `{"pids":{"limit":44},"future":{"limit":1}}`).OK(); !strings.Contains(res.Stderr, "future") {
		t.Errorf("an unknown key: %v", res)
	}
	update(r, c, `{"Pids":{"limit":45}}`).Failed("standard input: Pids: key differs from")
	groupOf(t, c, "pids").want("pids.max", "pids.max", "44", "44")
}

// What this host has no means for is an error that names the property.
func TestUpdateOfWhatThereIsNot(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever))
	rows := map[string]string{
		`{"cpu":{"cpus":"9999"}}`: "linux.resources.cpu.cpus: no such CPU",
		`{"cpu":{"mems":"77"}}`:   "linux.resources.cpu.mems: no such node",
		`{"blockIO":{"throttleReadBpsDevice":[{"major":250,"minor":250,"rate":1024}]}}`: "linux.resources.blockIO.throttleReadBpsDevice[0]: no such device 250:250",
		`{"unified":{"nosuch.max":"1"}}`:                                                `linux.resources.unified["nosuch.max"]: controller "nosuch" is not available`,
	}
	if !pureV2() {
		rows[`{"unified":{"nosuch.max":"1"}}`] = "linux.resources.unified: invalid configuration: needs cgroup v2"
	}
	for json, says := range rows {
		if systemd() && strings.Contains(json, `"cpus"`) {
			says = "unit properties" // it is asked first
		}
		if res := update(r, c, json); res.Code != 1 || !strings.Contains(unquote(res.Stderr), says) {
			t.Errorf("%s: want %q, got %v", json, says, res)
		}
	}
}

// kill and delete take all containers that match.
func TestRegex(t *testing.T) {
	r := onBench(t)
	b := shell(t, forever)
	one, two, other := r.Launch(b), r.Launch(b), r.Launch(b)
	pattern := one.ID + "$|" + two.ID + "$"
	r.Do("kill", "--regex", pattern, "KILL").OK()
	one.Wait()
	two.Wait()
	status(t, one, "stopped")
	status(t, two, "stopped")
	status(t, other, "running")
	r.Do("kill", "--regex", pattern, "KILL").OK() // they do not run: not an error where nobody named them
	r.Do("delete", "--regex", ".").Failed("cannot delete container " + other.ID + " that is not stopped: running")
	for _, gone := range []string{one.ID, two.ID} {
		if _, err := os.Stat(filepath.Join(r.Root, gone)); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	r.Do("delete", "--regex", "no such id").OK()
	r.Do("delete", "--regex", "(").Failed("--regex: ", " is not a regular expression")
	r.Do("delete", "--regex", "--force", ".").OK()
	r.NothingLeft()
}

// --all signals every process, also if the first one has ended.
func TestKillAll(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, `(trap 'echo child' TERM; echo up; while :; do /bin/busybox sleep 0.05; done) & trap 'echo first' TERM; while :; do wait; done`))
	c.Says("up")
	r.Do("kill", "--all", c.ID, "TERM").OK()
	c.Says("first")
	c.Says("child")
	r.Do("kill", "-a", c.ID, "9").OK()
	c.Wait()
	r.Do("kill", "--all", c.ID, "9").OK()
	c.Kill("KILL").Failed("container not running")
}
