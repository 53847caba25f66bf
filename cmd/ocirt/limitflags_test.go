package main

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/spec"
)

func TestParseAmount(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "-1": -1, "4096": 4096, "1b": 1, "1k": 1 << 10, "1K": 1 << 10, "1kb": 1 << 10, "1KiB": 1 << 10,
		"512m": 512 << 20, "512 MB": 512 << 20, "1.5g": 3 << 29, "2T": 2 << 40, "1p": 1 << 50, "0.5k": 512,
		"9223372036854775807": 1<<63 - 1, "8191p": 8191 << 50,
	} {
		if got, err := parseAmount(text); err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "-2", "-1m", "+1", "1x", "1Q", "m", "1.2.3", ".", "1 2", "1mm", "0x10", "1e3", "1ib", "8192p", "9223372036854775808",
		"99999999999999999999g", "٣", "1\n", `1},"pids":{"limit":5`,
	} {
		if got, err := parseAmount(text); err == nil {
			t.Errorf("%q is taken as %d", text, got)
		}
	}
}

// Every flag sets the property that it says it does, and nothing else.
func TestLimitFlags(t *testing.T) {
	for _, l := range limitFlags() {
		value := "2000"
		if strings.HasPrefix(l.name, "cpuset-") {
			value = "3-1" // a list that is refused
		}
		r := &specs.LinuxResources{}
		if err := l.set(r, value); err != nil {
			t.Errorf("--%s %s: %v", l.name, value, err)
			continue
		}
		b := spec.Bundle{Spec: &specs.Spec{Linux: &specs.Linux{Resources: r}}}
		raw, err := spec.Marshal(b.Spec)
		if err != nil {
			t.Fatal(err)
		}
		pointer := "/linux/resources/" + strings.ReplaceAll(l.property, ".", "/")
		set := spec.LeavesIn(raw)
		if len(set) != 2 || set[0] != pointer { // the other one is ociVersion
			t.Errorf("--%s sets %q, want %s", l.name, set, pointer)
		}
	}
}

// A problem with a property that a flag names is told of as a problem of the flag.
func TestNameFlags(t *testing.T) {
	weight := uint16(5)
	r := &specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: &weight}}
	err := nameFlags(spec.CheckResources("update", r))
	if want := "invalid value for blkio-weight: out of range (10 to 1000), found 5"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := nameFlags(nil); err != nil {
		t.Error(err)
	}
}
