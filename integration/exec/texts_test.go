package exec

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// The words that callers match, with status 255.
func TestTexts(t *testing.T) {
	s := asRoot(t)
	b := s.bundle(t, forever)
	b.File("text", "hello\n", 0o755)
	b.File("closed", "#!/inside\n", 0o644)
	c := s.r.Launch(b)
	const start = "unable to start container process: "
	command := func(words ...string) []string { return append([]string{}, words...) }
	for _, row := range []struct {
		name    string
		flags   []string
		command []string
		words   []string
	}{
		{"missing", nil, command("nope"), []string{start, `exec: "nope": executable file not found in $PATH`}},
		{"missing path", nil, command("/nope"), []string{start, `exec: "/nope": `, "no such file or directory"}},
		{"directory", nil, command("/tmp"), []string{start, `exec: "/tmp": is a directory`}},
		{"not executable", nil, command("/closed"), []string{start, `exec: "/closed": permission denied`}},
		{"no program", nil, command("/text"), []string{start, "exec /text: exec format error"}},
		{"no command", nil, nil, []string{"exec args cannot be empty"}},
		{"empty command", nil, command(""), []string{`exec: "": executable file not found in $PATH`, "args[0]", "must not be empty"}},
		{"cwd relative", []string{"--cwd", "tmp"}, command("/inside"), []string{"Cwd must be an absolute path"}},
		{"cwd missing", []string{"--cwd", "/nope"}, command("/inside"), []string{start, `chdir to cwd ("/nope") set in config.json failed: no such file or directory`}},
		{"cwd file", []string{"--cwd", "/inside"}, command("/inside"), []string{start, `chdir to cwd ("/inside") set in config.json failed: not a directory`}},
		{"cwd by a descriptor", []string{"--cwd", "/proc/self/fd/3"}, command("/inside"), []string{start, `chdir to cwd ("/proc/self/fd/3")`}},
		{"cwd of init", []string{"--cwd", "/proc/1/cwd"}, command("/inside"), []string{start, `chdir to cwd ("/proc/1/cwd")`}},
		{"terminal, detached", []string{"-t", "-d"}, command("/inside"), []string{"cannot allocate tty if ocirt will detach without setting console socket"}},
		{"socket, foreground", []string{"--console-socket", "/x"}, command("/inside"), []string{"cannot use console socket if ocirt will not detach or allocate tty"}},
		{"terminal without one", []string{"-t"}, command("/inside"), []string{"process.terminal: stdin is not a terminal"}},
		{"process file missing", []string{"-p", "/nope"}, nil, []string{"--process", "no such file or directory"}},
		{"process file no file", []string{"-p", "/dev/null"}, nil, []string{"--process", "must be a regular file"}},
		{"process and command", []string{"-p", "/nope"}, command("/inside"), []string{"--process and a command exclude each other"}},
		{"descriptor not open", []string{"--preserve-fds", "2"}, command("/inside"), []string{"unable to stat preserved-fd 0 (of 2)"}},
		{"descriptors negative", []string{"--preserve-fds", "-1"}, command("/inside"), []string{"--preserve-fds: -1 must not be negative"}},
		{"pid file nowhere", []string{"--pid-file", "/nope/pid"}, command("/inside"), []string{start, "--pid-file", "no such file or directory"}},
		{"env", []string{"-e", "NOEQ"}, command("/inside"), []string{`--env: missing "=" in`}},
		{"env without name", []string{"-e", "=x"}, command("/inside"), []string{"--env: empty name in"}},
		{"apparmor", []string{"--apparmor", "nope-x"}, command("/inside"), []string{"apparmor"}},
	} {
		t.Run(row.name, func(t *testing.T) { fails(t, s.exec(c, row.flags, row.command...), row.words...) })
	}
	fails(t, s.r.Do("exec", "lab-none", "/inside"), "container does not exist")
	if r := s.r.Do("exec"); r.Code != 1 || !strings.Contains(r.Stderr, `requires a minimum of 1 argument(s)`) || !strings.Contains(r.Stdout, "Incorrect Usage") {
		t.Errorf("%v", r)
	}
}

// Users and groups are numbers, whole and in range: what a peer has run as root is an error.
func TestUserTexts(t *testing.T) {
	s := asRoot(t)
	b := s.bundle(t, forever)
	b.File("etc/passwd", "1000:x:0:0::/root:/bin/sh\nroot:x:0:0::/:/bin/sh\n", 0o644)
	c := s.r.Launch(b)
	for user, words := range map[string]string{
		"4294967296": "out of range", "4294967295": "out of range", "-1": "out of range", "1:4294967295": "out of range",
		"0x0": "in digits", "1000abc": "in digits", "1:2:3": "in digits", "1 0": "in digits", "root": "in digits",
		":0": "in digits", "1:": "in digits", " 0": "in digits", "+0": "in digits", "٣": "in digits",
	} {
		fails(t, s.exec(c, []string{"--user", user}, "/inside"), "--user: ", words)
	}
	for _, group := range []string{"-1", "4294967296", "4294967295", "x", ""} {
		fails(t, s.exec(c, []string{"-g", group}, "/inside"), "--additional-gids: ")
	}
	if r := s.look(t, c, "--user", "1000"); r.Identity.UIDs[0] != 1000 {
		t.Errorf("user 1000 is %v", r.Identity.UIDs)
	}
	if r := s.look(t, c, "--user", ""); r.Identity.UIDs[0] != 0 {
		t.Errorf("no user is %v", r.Identity.UIDs)
	}
}

// Every property of a process file is checked as it is in config.json.
func TestProcessTexts(t *testing.T) {
	s := asRoot(t)
	c := s.launch(t)
	for text, words := range map[string]string{
		``:                                 "process.json",
		`{}`:                               "args must not be empty",
		`[]`:                               "process.json",
		`{"args":["/inside"]}`:             "cwd",
		`{"args":["/inside"],"cwd":"tmp"}`: "Cwd must be an absolute path",
		`{"args":[],"cwd":"/"}`:            "args must not be empty",
		`{"args":["/inside"],"cwd":"/","user":{"uid":4294967295}}`:        "user.uid",
		`{"args":["/inside"],"cwd":"/","user":{"uid":-1}}`:                "user.uid",
		`{"args":["/inside"],"cwd":"/","user":{"uid":"0"}}`:               "user.uid",
		`{"args":["/inside"],"cwd":"/","env":["NOEQ"]}`:                   "env[0]",
		`{"args":["/inside"],"cwd":"/","env":["=x"]}`:                     "env[0]",
		`{"args":["/inside",1],"cwd":"/"}`:                                "args[1]",
		`{"args":["/inside\u0000"],"cwd":"/"}`:                            "args[0]",
		`{"args":["/inside"],"args":["/x"],"cwd":"/"}`:                    "args",
		`{"args":["/inside"],"cwd":"/"}}`:                                 "process.json",
		`{"args":["/inside"],"cwd":"/","rlimits":[{"type":"RLIMIT_X"}]}`:  "wrong rlimit value",
		`{"args":["/inside"],"cwd":"/","oomScoreAdj":1001}`:               "oomScoreAdj",
		`{"args":["/inside"],"cwd":"/","execCPUAffinity":{"final":"a-"}}`: "execCPUAffinity.final",
		`{"args":["/inside"],"cwd":"/","ioPriority":{"class":"X"}}`:       "ioPriority.class",
		`{"args":["/inside"],"cwd":"/","scheduler":{"policy":"X"}}`:       "scheduler.policy",
	} {
		dir := lab.Dir(t)
		must(t, os.WriteFile(dir+"/process.json", []byte(text), 0o644))
		fails(t, s.exec(c, []string{"--process", dir + "/process.json"}), words)
	}
}

// In which states a container can be joined, and in which words it cannot.
func TestStates(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		c := s.r.Create(s.bundle(t, forever))
		if out := s.exec(c, nil, "/inside", "pid").OK().Stdout; out == "1\n" {
			t.Errorf("the process is %s of a created container", out)
		}
		c.Start()
		s.exec(c, nil, "/inside", "pid").OK()
		c.Kill("KILL").OK()
		c.Wait()
		fails(t, s.exec(c, nil, "/inside"), "cannot exec in a stopped container")
	})
}

// With --log FILE the error is one record there, and the plain text on standard error.
func TestLog(t *testing.T) {
	s := asRoot(t)
	c := s.launch(t)
	log := lab.Dir(t) + "/log.json"
	r := s.r.Do("--log", log, "--log-format", "json", "exec", c.ID, "nope")
	if r.Code != 255 || !strings.HasPrefix(r.Stderr, `exec failed: unable to start container process: exec: "nope": executable file not found in $PATH`) {
		t.Errorf("%v", r)
	}
	data, err := os.ReadFile(log)
	must(t, err)
	var record struct{ Level, Msg, Time string }
	if err := json.Unmarshal(data, &record); err != nil || record.Level != "error" || !strings.Contains(record.Msg, `exec: "nope": executable file not found in $PATH`) {
		t.Errorf("%v: %s", err, data)
	}
	// Of one that succeeds nothing is said, also if the configuration is questionable.
	s.r.Do("--log", log, "exec", c.ID, "/inside", "exit", "0").OK()
	if after, _ := os.ReadFile(log); string(after) != string(data) {
		t.Errorf("%s", after)
	}
}

func TestStatus(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		c := s.launch(t)
		for _, code := range []int{0, 1, 7, 125, 126, 127, 128, 255} {
			if r := s.exec(c, nil, "/inside", "exit", strconv.Itoa(code)); r.Code != code || r.Stderr != "" {
				t.Errorf("want status %d, got %v", code, r)
			}
		}
		for signal, code := range map[string]int{"9": 137, "15": 143, "1": 129} {
			if r := s.exec(c, nil, "/inside", "kill-self", signal); r.Code != code {
				t.Errorf("want status %d, got %v", code, r)
			}
		}
		// Flags after the id are the command's.
		if r := s.exec(c, nil, "/inside", "echo", "--detach").OK(); r.Stdout != "--detach\n" {
			t.Errorf("%v", r)
		}
	})
}

func TestLimitOfProcesses(t *testing.T) {
	s := asRoot(t)
	one := int64(1)
	c := s.r.Launch(s.bundle(t, lab.Args("/bin/busybox", "sleep", "1000"), func(c *specs.Spec) {
		c.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &one}}
	}).Busybox())
	fails(t, s.exec(c, nil, "/inside"), "unable to start container process: ", "limit of processes")
}
