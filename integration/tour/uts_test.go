package tour

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

func TestHostname(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		before, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		b := s.bundle(t, func(c *specs.Spec) { c.Hostname, c.Domainname = "sandcastle", "beach.example" })
		r := s.runtime.Report(b)
		if r.System.Hostname != "sandcastle" || r.System.Domainname != "beach.example" {
			t.Errorf("names inside are %q and %q, want sandcastle and beach.example", r.System.Hostname, r.System.Domainname)
		}
		if r.Namespace(specs.UTSNamespace) == lab.HostNamespace(specs.UTSNamespace) {
			t.Error("the uts namespace is the host's")
		}
		if after, _ := os.Hostname(); after != before {
			t.Errorf("the host's name was %q and is %q", before, after)
		}
	})
}

// What a privileged program changes inside stays inside.
func TestHostnameIsChangedInside(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		before, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		b := s.bundle(t, lab.Capabilities("CAP_SYS_ADMIN"), lab.Check("try-sethostname", "renamed", "--", "hostname"))
		if out := s.runtime.Run(b).OK().Stdout; out != "ok\nrenamed\n" {
			t.Errorf("the checker says %q, want ok and the new name", out)
		}
		if after, _ := os.Hostname(); after != before {
			t.Errorf("the host's name was %q and is %q", before, after)
		}
	})
}

func TestHostnameNeedsNamespace(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, lab.Without(specs.UTSNamespace), func(c *specs.Spec) { c.Hostname = "host" })
		s.runtime.CreateFails(b, "unable to set hostname without a private UTS namespace")
	})
}

// The namespaces are guessed from config.json before it is read. What counts is what it says.
func TestNamespacesGuessedWrong(t *testing.T) {
	eachStance(t, func(t *testing.T, s stance) {
		b := s.bundle(t, func(c *specs.Spec) { c.Hostname = "sandcastle" })
		path := filepath.Join(b.Dir, "config.json")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		misleading := append([]byte(`{"com.example":{"namespaces":[{"type":"ipc"},{"type":"network"}]},`), raw[1:]...)
		if err := os.WriteFile(path, misleading, 0o644); err != nil {
			t.Fatal(err)
		}
		r := s.runtime.Report(b)
		if r.System.Hostname != "sandcastle" {
			t.Errorf("the name inside is %q, want sandcastle", r.System.Hostname)
		}
		for _, kind := range []specs.LinuxNamespaceType{specs.UTSNamespace, specs.MountNamespace, specs.PIDNamespace, specs.IPCNamespace, specs.NetworkNamespace} {
			if r.Namespace(kind) == lab.HostNamespace(kind) {
				t.Errorf("the %s namespace is the host's", kind)
			}
		}
	})
}
