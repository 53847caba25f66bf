package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

// Engines look for these phrases anywhere on standard error to choose an exit code, or to
// tell what kind of error it was.
func matchedPhrases() []string {
	return []string{
		"permission denied", "operation not permitted", "is a directory", "not a directory", "executable file not found",
		"no such file", "system cannot find the file specified", "failed to run runc", "open executable", "not found",
		"executable path is empty", "does not exist", "no such process", "container not running", "process already finished",
		"invalid process",
	}
}

func TestHintsAreFreeOfMatchedPhrases(t *testing.T) {
	for _, rule := range hintRules() {
		for _, phrase := range matchedPhrases() {
			if strings.Contains(strings.ToLower(rule.say), phrase) {
				t.Errorf("hint %q contains %q", rule.say, phrase)
			}
		}
		if strings.HasSuffix(rule.say, ".") || strings.Contains(rule.say, "\n") {
			t.Errorf("hint %q is not one line without a full stop", rule.say)
		}
	}
}

func TestHints(t *testing.T) {
	step := func(from, name string, err error) error {
		return fmt.Errorf("ocirt create failed: %w", &runtime.StepError{Step: name, From: from, Where: "builder", Err: err})
	}
	tests := map[string]struct {
		err  error
		want string // part of the hint; empty: no hint
	}{
		"exists":      {fmt.Errorf("x: %w", runtime.ErrExists), "`runc list`"},
		"missing":     {runtime.ErrNotFound, "kept in /some/where;"},
		"running":     {&runtime.StateError{Op: "delete", Is: runtime.Running}, "--force"},
		"tty":         {advised{errors.New("cannot allocate tty"), errNoSocket}, "process.terminal"},
		"proc":        {step("/mounts/0", "mount proc on /proc", &runtime.Fault{Errno: unix.EPERM}), "seen whole"},
		"other mount": {step("/mounts/0", "mount tmpfs on /proc", &runtime.Fault{Errno: unix.EINVAL}), "kernel's log"},
		"old kernel":  {step("/hostname", "set hostname", unix.ENOSYS), "too old"},
		"no advice":   {step("/hostname", "set hostname", unix.EPERM), ""},
		"plain":       {errors.New("x"), ""},
	}
	a := newApp([]string{"/usr/sbin/runc"})
	a.root = "/some/where"
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := a.hint(tt.err)
			if !strings.Contains(got, tt.want) || (tt.want == "") != (got == "") {
				t.Errorf("hint is %q, want one with %q", got, tt.want)
			}
		})
	}
}

func TestHintForMissingConfig(t *testing.T) {
	_, err := spec.Load(t.TempDir())
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if got := newApp(nil).hint(err); !strings.Contains(got, "`ocirt spec`") {
		t.Errorf("hint is %q", got)
	}
}

// What is wrong with another file, config.json has nothing to do with.
func TestNoHintForOtherFiles(t *testing.T) {
	_, missing := spec.LoadResources("/x/limits.json", "/x/limits.json")
	_, wrong := spec.ParseProcess("p.json", []byte(`{}`))
	if missing.Err() == nil || len(wrong.Errors()) < 2 {
		t.Fatal(missing, wrong)
	}
	for _, err := range []error{missing, wrong} {
		if got := newApp(nil).hint(err); got != "" {
			t.Errorf("%v: hint is %q", err, got)
		}
	}
	_, err := spec.Parse("/x", []byte(`{"process": 1, "root": 2}`))
	if got := newApp(nil).hint(err); !strings.Contains(got, "validate") {
		t.Errorf("hint for %v is %q", err, got)
	}
}

func TestReport(t *testing.T) {
	err := fmt.Errorf("ocirt run failed: %w", started(&runtime.StepError{Step: "mount proc on /proc", From: "/mounts/3", Where: "builder", Err: unix.EINVAL}))
	const text = "ocirt run failed: unable to start container process: error during container init: mount proc on /proc: invalid argument"
	const rest = "  config.json /mounts/3\n  hint: the kernel's log often names the option it refuses\n"
	tests := map[string]struct {
		file, json     bool
		stderr, record string // what must be there
	}{
		"text":         {false, false, `level=error msg="` + text + "\"\n" + rest, ""},
		"text in file": {true, false, text + "\n" + rest, `level=error msg="` + text + "\"\n"},
		"json":         {false, true, `{"level":"error","msg":"` + text + `","time":"`, ""},
		"json in file": {true, true, text + "\n" + rest, `{"level":"error","msg":"` + text + `","time":"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var stderr, file bytes.Buffer
			a := newApp(nil)
			a.records = &records{stderr: &stderr, json: tt.json}
			if tt.file {
				a.records.file = &file
			}
			a.log, a.logOpened = slog.New(a.records), true
			if code := a.end(err); code != 1 {
				t.Errorf("exit code %d", code)
			}
			if !strings.HasSuffix(stderr.String(), tt.stderr) && !strings.HasPrefix(stderr.String(), tt.stderr) {
				t.Errorf("standard error:\n%s", stderr.String())
			}
			if !strings.Contains(file.String(), tt.record) {
				t.Errorf("log:\n%s", file.String())
			}
			if !tt.json {
				return
			}
			record := append(stderr.Bytes()[:0:0], file.Bytes()...)
			if !tt.file {
				record = stderr.Bytes()
			}
			var got struct {
				Level, Msg, Config, Hint string
				Time                     time.Time
			}
			if err := json.Unmarshal(record, &got); err != nil || got.Level != "error" || got.Msg != text || got.Config != "/mounts/3" || got.Time.IsZero() {
				t.Errorf("record %s: %v", record, err)
			}
		})
	}
}

func TestStartedNamesTheStage(t *testing.T) {
	const process, init = "unable to start container process: ", "error during container init: "
	tests := map[string]struct {
		err  error
		want string
	}{
		"host":    {&runtime.StepError{Where: "host", Err: unix.EIO}, process + "input/output error"},
		"builder": {&runtime.StepError{Where: "builder", Err: unix.EIO}, process + init + "input/output error"},
		"init":    {&runtime.StepError{Where: "init", Err: unix.EIO}, process + init + "input/output error"},
		"exists":  {runtime.ErrExists, "container with given ID already exists"},
	}
	for name, tt := range tests {
		if got := started(tt.err).Error(); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestHeldWarningsComeAfterTheError(t *testing.T) {
	var stderr bytes.Buffer
	a := newApp(nil)
	a.records = &records{stderr: &stderr}
	a.log, a.logOpened = slog.New(a.records), true
	a.hold()
	a.log.Warn("first")
	if stderr.Len() > 0 {
		t.Errorf("not held: %s", &stderr)
	}
	a.end(errors.New("second"))
	lines := strings.Split(stderr.String(), "\n")
	if !strings.Contains(lines[0], `level=error msg="second"`) || !strings.Contains(lines[1], `level=warning msg="first"`) {
		t.Errorf("standard error:\n%s", &stderr)
	}
}

func TestParseSignal(t *testing.T) {
	good := map[string]unix.Signal{
		"": 15, "9": 9, "0": 0, "64": 64, "KILL": 9, "SIGKILL": 9, "sigterm": 15, "Hup": 1, "RTMIN": 34, "SIGRTMIN+1": 35,
		"RTMAX": 64, "rtmax-14": 50, "IOT": 6, "POLL": 29, "CLD": 17, "STKFLT": 16,
	}
	for text, want := range good {
		if got, err := parseSignal(text); err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"SIGFOO", "9abc", "65", "-1", "+9", "99999999999", "SIG", "RTMIN-1", "RTMIN+31", "RTMAX+1", "RTMIN+", "RTMIN1", " 9", "SIGSIGKILL", "9 "} {
		got, err := parseSignal(text)
		if err == nil {
			t.Errorf("%q is signal %d", text, got)
		} else if want := fmt.Sprintf("unknown signal %q", text); !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error for %q is %q", text, err)
		}
	}
}

func TestCommandName(t *testing.T) {
	tests := map[string]string{
		"state x":                              "state",
		"--debug state x":                      "state",
		"--root create state":                  "state",
		"-root=create state":                   "state",
		"--log-format json --log x -debug run": "run",
		"--systemd-cgroup=false run":           "run",
		"--version":                            "",
		"--help state":                         "",
		"--nosuch state":                       "",
		"--nosuch=1 state":                     "",
		"-- state":                             "",
		"--root":                               "",
		"":                                     "",
	}
	for args, want := range tests {
		if got := commandName(strings.Fields(args)); got != want {
			t.Errorf("command of %q is %q, want %q", args, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	tests := map[string]string{
		"plain ünï\n":     "plain ünï\n",
		"a\x1b[31mb\rc\t": `a\x1b[31mb\rc\t`,
		"\u202eevil":      `\u202eevil`,
		"bad\xff":         `bad\xff`,
		"\ufffd":          `�`,
	}
	for in, want := range tests {
		if got := printable(in); got != want {
			t.Errorf("%q is printed as %q, want %q", in, got, want)
		}
	}
}

func TestStateJSONIsWhatTheStandardEncoderWrites(t *testing.T) {
	s := &runtime.State{
		OCIVersion: "1.3.0", ID: "x", Pid: 7, Status: runtime.Running, Bundle: "/b\"\n", Rootfs: "/b/r",
		Created: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Annotations: map[string]string{"b": "2", "a": "ü"}, Owner: "root",
	}
	for _, annotations := range []map[string]string{s.Annotations, {}, nil} {
		s.Annotations = annotations
		indented, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if got := stateJSON(nil, s, true); !bytes.Equal(got, indented) {
			t.Errorf("got %s, want %s", got, indented)
		}
		plain, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := stateJSON(nil, s, false); !bytes.Equal(got, plain) {
			t.Errorf("got %s, want %s", got, plain)
		}
	}
}

func TestOnlyPids(t *testing.T) {
	const table = "UID  PID CMD\nroot   1 init\nroot  22 x 1\nroot 122 y\n"
	got, err := onlyPids(table, []int{22, 122})
	if want := "UID  PID CMD\nroot  22 x 1\nroot 122 y\n"; err != nil || got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
	if _, err := onlyPids("CMD\nx\n", nil); err == nil {
		t.Error("a table without pids was accepted")
	}
}

func TestMadeUpIDsAreValidAndDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		id := madeUpID()
		if err := spec.CheckID(id); err != nil {
			t.Fatal(err)
		}
		seen[id] = true
	}
	if len(seen) < 45 {
		t.Errorf("%d of 50 ids differ", len(seen))
	}
}
