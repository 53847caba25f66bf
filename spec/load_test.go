package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/internal/badinput"
)

func TestDecodeAgreesWithTheStandardDecoder(t *testing.T) {
	raw := everything(t)
	b, err := Parse("/b", raw)
	if err != nil {
		t.Fatal(err)
	}
	want := new(specs.Spec)
	if err := json.Unmarshal(raw, want); err != nil {
		t.Fatal(err)
	}
	// The one property of type any stays text with us.
	want.Windows.CredentialSpec, b.Spec.Windows.CredentialSpec = nil, nil
	if !reflect.DeepEqual(b.Spec, want) {
		t.Errorf("\n got %+v\nwant %+v", b.Spec, want)
	}
	if len(b.Notes) > 0 {
		t.Errorf("notes about known properties: %v", b.Notes)
	}
}

// everything is a config.json in which each property that exists is set.
func everything(t testing.TB) []byte {
	t.Helper()
	v := reflect.New(reflect.TypeFor[specs.Spec]()).Elem()
	n := 0
	fill(v, &n)
	raw, err := json.Marshal(v.Interface())
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		e := reflect.New(v.Type().Elem()).Elem()
		fill(e, n)
		v.SetMapIndex(reflect.ValueOf(fmt.Sprint("key ", *n)), e)
	case reflect.Interface:
		v.Set(reflect.ValueOf("any"))
	case reflect.String:
		v.SetString(fmt.Sprintf("text \"%d\" \\ <\u00e9\u2028\U0001f600\t>", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(-*n))
	default:
		v.SetUint(uint64(*n))
	}
}

func TestEveryLinuxLeafIsListed(t *testing.T) {
	in := LeavesIn(everything(t))
	if want := Leaves(); !reflect.DeepEqual(in, want) {
		t.Errorf("\nfound %q\nlisted %q", in, want)
	}
	if n := len(in); n < 170 {
		t.Errorf("only %d leaves", n)
	}
	got := LeavesIn(badinput.Default(t))
	for _, leaf := range []string{"/process/args", "/mounts/*/destination", "/linux/namespaces/*/type", "/root/readonly"} {
		if index(got, leaf) < 0 {
			t.Errorf("%s is not seen in the default config", leaf)
		}
	}
	if index(got, "/linux/seccomp/defaultAction") >= 0 {
		t.Error("seccomp is seen in the default config")
	}
}

func TestUnsupportedNamesRealProperties(t *testing.T) {
	for _, u := range Unsupported() {
		covered := 0
		for _, leaf := range Leaves() {
			if u.Covers(leaf) {
				covered++
			}
		}
		if covered == 0 || u.Reason == "" {
			t.Errorf("%s covers %d leaves, reason %q", u.Pointer, covered, u.Reason)
		}
	}
}

func TestUnsupportedReports(t *testing.T) {
	b, err := Parse("/b", everything(t))
	if err != nil {
		t.Fatal(err)
	}
	got := b.Unsupported()
	asked := 0
	for _, u := range Unsupported() {
		if u.asked != nil {
			asked++
		}
	}
	if len(got) != asked {
		t.Errorf("%d of %d are reported for a bundle that asks for everything", len(got), asked)
	}
	empty := &Bundle{Spec: new(specs.Spec)}
	if ps := empty.Unsupported(); len(ps) != 0 {
		t.Errorf("an empty bundle asks for %v", ps)
	}
}

func TestProblemsComeInFileOrder(t *testing.T) {
	const config = `{"linux":{"maskedPaths":["x"],"rootfsPropagation":"y","namespaces":[{"type":"mount"}]},
		"hostname":"h", "zzz":1,
		"process":{"user":{"uid":4294967295},"args":[],"cwd":"rel"},
		"root":{"path":5},"ociVersion":"1.0.0"}`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ConfigName), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	_, ps := Check(dir, Options{})
	var got []string
	for _, p := range ps {
		got = append(got, p.Path)
	}
	want := []string{
		"linux.maskedPaths[0]", "linux.rootfsPropagation", "hostname", "zzz",
		"process.user.uid", "process.args", "process.cwd", "root.path",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestErrorText(t *testing.T) {
	ps := Problems{
		{Path: "a", Text: "ignored", Warning: true, Contract: "not these"},
		{Path: "process.args", Text: "must not be empty", Contract: "args must not be empty"},
		{Path: "user.uid", Text: "4294967295 is reserved", File: "process.json"},
	}
	const want = "args must not be empty: config.json: process.args: must not be empty\n" +
		"process.json: user.uid: 4294967295 is reserved"
	if got := ps.Error(); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if ps[:1].Err() != nil {
		t.Error("a warning is an error")
	}
	many := make(Problems, 50)
	lines := strings.Split(many.Error(), "\n")
	if len(lines) != 21 || lines[20] != "30 more" {
		t.Errorf("50 problems give %d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

func TestProblemsJSON(t *testing.T) {
	nasty := "a\x1b\"\u202e\n"
	out, err := Problems{{Pointer: "/a/0", Path: "a[0]", Text: nasty, Contract: "c", Warning: true}, {}}.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var got []struct{ File, Pointer, Path, Message, Severity, Contract string }
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if len(got) != 2 || got[0].Message != nasty || got[0].Severity != "warning" || got[0].File != ConfigName ||
		got[0].Contract != "c" || got[0].Pointer != "/a/0" || got[1].Severity != "error" {
		t.Errorf("%s", out)
	}
	if bytes.ContainsAny(out, "\x1b") {
		t.Errorf("control characters in %q", out)
	}
	if out, _ := Problems(nil).JSON(); string(out) != "[]\n" {
		t.Errorf("no problems give %s", out)
	}
}

func TestQuoteIsHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"a\x1b[31m\r\n\u202e\xff":          `"a\x1b[31m\r\n\u202e\xff"`,
		strings.Repeat("a", 65):            `"` + strings.Repeat("a", 64) + `"...`,
		strings.Repeat("\u00e9", 40):       `"` + strings.Repeat("\u00e9", 32) + `"...`,
		strings.Repeat("a", 63) + "\u00e9": `"` + strings.Repeat("a", 63) + `"...`,
	} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q)\n got %s\nwant %s", in, got, want)
		}
	}
	ptr, path := place("a", 2, "c", key("x.y"), "b~/")
	if ptr != "/a/2/c/x.y/b~0~1" || path != `a[2].c["x.y"]["b~/"]` {
		t.Errorf("%s and %s", ptr, path)
	}
}

func TestTemplates(t *testing.T) {
	for _, rootless := range []bool{false, true} {
		s := Template(rootless, 1000, 1001, true)
		raw, err := Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(raw, []byte("{\n\t\"ociVersion\"")) {
			t.Errorf("not indented with tabs: %.20q", raw)
		}
		b, err := Parse("/b", raw)
		if err != nil {
			t.Fatal(err)
		}
		b.Default()
		if ps := b.Validate(Options{Rootless: rootless}); len(ps) > 0 {
			t.Errorf("rootless %t: %v", rootless, ps)
		}
		if rootless && (bytes.Contains(raw, []byte("gid=")) || s.Linux.Resources != nil || s.Linux.GIDMappings[0].HostID != 1001) {
			t.Errorf("not a rootless template: %s", raw)
		}
	}
}

func TestDefault(t *testing.T) {
	b, err := Parse("/b", []byte(`{"ociVersion":"1.0.0","process":{"user":{"uid":1}},"linux":{"resources":{"devices":[{"allow":false}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	b.Default()
	once, _ := Marshal(b.Spec)
	b.Default()
	if twice, _ := Marshal(b.Spec); !bytes.Equal(once, twice) {
		t.Errorf("defaults differ the second time:\n%s\n%s", once, twice)
	}
	if b.Spec.Process.User.Umask != nil {
		t.Error("a umask was invented")
	}
	if got := b.Spec.Linux.Resources.Devices[0].Type; got != "a" {
		t.Errorf("device rule type %q", got)
	}
}

// The examples that come with the specification itself.
func TestSpecificationFixtures(t *testing.T) {
	dir := moduleDir(t, "github.com/opencontainers/runtime-spec")
	for _, kind := range []string{"good", "bad"} {
		files, _ := filepath.Glob(filepath.Join(dir, "schema/test/config", kind, "*.json"))
		if len(files) == 0 {
			t.Skip("the module cache does not have the examples of the specification")
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			b, err := Parse("/b", raw)
			var errs Problems
			if err == nil {
				b.Default()
				errs = b.Validate(Options{}).Errors()
			}
			accepted := err == nil && len(errs) == 0
			if kind == "good" && err != nil {
				t.Errorf("%s: %v", filepath.Base(file), err)
			}
			if kind == "bad" && accepted && !fixtureForOthers(file) {
				t.Errorf("%s is accepted", filepath.Base(file))
			}
			for _, p := range errs {
				// Good for every system is not yet good for Linux: ours wants
				// a root and a process, and hosts names need a namespace.
				if kind == "good" && p.Contract == "" && !strings.Contains(p.Text, "namespace") {
					t.Errorf("%s: %s", filepath.Base(file), p)
				}
			}
		}
	}
}

// fixtureForOthers names bad examples about systems other than Linux, whose
// values are none of ours.
func fixtureForOthers(file string) bool {
	return strings.Contains(filepath.Base(file), "freebsd")
}

// moduleDir finds a required module in the module cache.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		f := strings.Fields(line)
		if i := index(f, module); i >= 0 && i+1 < len(f) {
			cache := os.Getenv("GOMODCACHE")
			if cache == "" {
				home, _ := os.UserHomeDir()
				cache = filepath.Join(home, "go", "pkg", "mod")
			}
			if p := os.Getenv("GOPATH"); p != "" && os.Getenv("GOMODCACHE") == "" {
				cache = filepath.Join(p, "pkg", "mod")
			}
			return filepath.Join(cache, module+"@"+f[i+1])
		}
	}
	t.Fatalf("%s is not required", module)
	return ""
}

func TestSysctlPath(t *testing.T) {
	for name, want := range map[string]string{
		"net.ipv4.ip_forward": "net/ipv4/ip_forward", "net/ipv4/ip_forward": "net/ipv4/ip_forward",
		"net/ipv4/conf/eno2.100/rp_filter": "net/ipv4/conf/eno2.100/rp_filter",
		"net.ipv4.conf.eno2/100.rp_filter": "net/ipv4/conf/eno2.100/rp_filter",
		"net/../kernel/panic":              "", "": "", "net..x": "", ".": "", "net/": "", "a\x00": "", "net.//.x": "",
	} {
		if got := SysctlPath(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
