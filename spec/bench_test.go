package spec

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/internal/badinput"
)

// dockerSized is a config.json of the size that a container engine writes with
// a seccomp profile of 400 calls: some 25 KiB.
func dockerSized(t testing.TB) []byte {
	t.Helper()
	s := Template(false, 0, 0, true)
	names := make([]string, 400)
	for i := range names {
		names[i] = fmt.Sprintf("system_call_%d", i)
	}
	s.Linux.Seccomp = &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
		Syscalls:      []specs.LinuxSyscall{{Names: names, Action: specs.ActAllow}},
	}
	for i := range 40 {
		s.Linux.Seccomp.Syscalls = append(s.Linux.Seccomp.Syscalls, specs.LinuxSyscall{
			Names: names[i : i+1], Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{{Index: 0, Value: uint64(i), Op: specs.OpMaskedEqual}},
		})
		s.Mounts = append(s.Mounts, specs.Mount{
			Destination: fmt.Sprint("/data/", i), Source: "/srv/data", Type: "bind", Options: []string{"rbind", "rprivate"},
		})
	}
	s.Annotations = map[string]string{"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "x"}
	raw, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func BenchmarkParse(b *testing.B) {
	raw := dockerSized(b)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("/b", raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadDefaultValidate(b *testing.B) {
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ConfigName), dockerSized(b), 0o600); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		bundle, err := Load(dir)
		if err != nil {
			b.Fatal(err)
		}
		bundle.Default()
		if ps := bundle.Validate(Options{}); len(ps) > 0 {
			b.Fatal(ps)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	bundle, err := Parse("/b", dockerSized(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		bundle.Default()
		if ps := bundle.Validate(Options{}); len(ps) > 0 {
			b.Fatal(ps)
		}
	}
}

func BenchmarkStandardDecoder(b *testing.B) {
	raw := dockerSized(b)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if err := json.Unmarshal(raw, new(specs.Spec)); err != nil {
			b.Fatal(err)
		}
	}
}

// The first decode of a process is the only one that a container start pays,
// so nothing may be built up on first use. Run this test alone to measure it.
func TestFirstDecodeIsNotSlow(t *testing.T) {
	for name, raw := range map[string][]byte{"default": badinput.Default(t), "with a profile": dockerSized(t)} {
		var took [20][2]time.Duration
		for i := range took {
			start := time.Now()
			b, err := Parse("/b", raw)
			if err != nil {
				t.Fatal(err)
			}
			took[i][0] = time.Since(start)
			b.Default()
			b.Validate(Options{})
			took[i][1] = time.Since(start) - took[i][0]
		}
		t.Logf("%s, %d bytes: decode and validate first %v, then %v, %v, at last %v",
			name, len(raw), took[0], took[1], took[2], took[len(took)-1])
		if took[0][0] > 20*time.Millisecond {
			t.Errorf("%s: the first decode took %v", name, took[0][0])
		}
	}
}
