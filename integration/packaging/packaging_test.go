package packaging

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/internal/need"
)

const top = "../.."

// binary is the program to be installed.
func binary(t *testing.T) string {
	t.Helper()
	path := os.Getenv("OCIRT")
	if path == "" {
		path = top + "/bin/ocirt"
	}
	abs, err := filepath.Abs(path)
	must(t, err)
	_, err = os.Stat(abs)
	must(t, err)
	return abs
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// do runs a program and returns what it prints.
func do(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// files are those below a folder, with their modes; folders are not among them.
func files(t *testing.T, root string) []string {
	t.Helper()
	var list []string
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		list = append(list, strings.TrimPrefix(path, root+"/")+" "+info.Mode().String())
		return nil
	}))
	return list
}

// installed are the files that belong below a prefix.
func installed(t *testing.T, prefix, zsh, compressed string) []string {
	t.Helper()
	list := []string{
		"sbin/ocirt -rwxr-xr-x", "share/bash-completion/completions/ocirt -rw-r--r--",
		"share/fish/vendor_completions.d/ocirt.fish -rw-r--r--", "share/zsh/" + zsh + "/_ocirt -rw-r--r--",
	}
	pages, err := filepath.Glob(top + "/docs/man/*.8")
	must(t, err)
	if len(pages) < 10 {
		t.Fatalf("there are %d man pages", len(pages))
	}
	for _, p := range pages {
		list = append(list, "share/man/man8/"+filepath.Base(p)+compressed+" -rw-r--r--")
	}
	for i := range list {
		list[i] = prefix + list[i]
	}
	slices.Sort(list)
	return list
}

func TestMakeInstall(t *testing.T) {
	need.Tool(t, "make")
	root := t.TempDir()
	// The program is not built anew: other tests are using it.
	install := func(target string, args ...string) {
		do(t, top, "make", append([]string{"-o", "binary", target, "DESTDIR=" + root, "PREFIX=/opt/o", "BINARY=" + binary(t)}, args...)...)
	}
	install("install")
	got := files(t, root)
	slices.Sort(got)
	if want := installed(t, "opt/o/", "site-functions", ""); !slices.Equal(got, want) {
		t.Errorf("installed:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if text := do(t, "/", root+"/opt/o/sbin/ocirt", "--version"); !strings.HasPrefix(text, "ocirt version ") {
		t.Errorf("%s", text)
	}
	install("uninstall")
	if got := files(t, root); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}

// TestDebianPackage installs the package into a folder that takes itself for a system, and
// removes it: nothing may be left.
func TestDebianPackage(t *testing.T) {
	need.Tool(t, "dpkg")
	need.Tool(t, "dpkg-deb")
	out, root := t.TempDir(), t.TempDir()
	deb := strings.TrimSpace(do(t, top, ".packaging/deb", binary(t), "v1.2.3-4-gabcdef-dirty", out))
	if base := filepath.Base(deb); !strings.HasPrefix(base, "ocirt_1.2.3+4.gabcdef+dirty_") {
		t.Errorf("the package is %s", base)
	}
	if info := do(t, top, "dpkg-deb", "--info", deb); !strings.Contains(info, "Recommends: uidmap") || strings.Contains(info, "Depends:") {
		t.Errorf("%s", info)
	}
	again := strings.TrimSpace(do(t, top, ".packaging/deb", binary(t), "v1.2.3-4-gabcdef-dirty", t.TempDir()))
	if one, two := read(t, deb), read(t, again); one != two {
		t.Error("a package that is made twice is not the same")
	}

	for _, dir := range []string{"info", "updates", "triggers"} {
		must(t, os.MkdirAll(filepath.Join(root, "var/lib/dpkg", dir), 0o755))
	}
	for _, file := range []string{"status", "available"} {
		must(t, os.WriteFile(filepath.Join(root, "var/lib/dpkg", file), nil, 0o644))
	}
	dpkg := func(args ...string) {
		do(t, "/", "dpkg", append([]string{"--root=" + root, "--force-not-root", "--force-script-chrootless", "--log=" + out + "/log"}, args...)...)
	}
	dpkg("--install", deb)
	var got []string
	for _, f := range files(t, root+"/usr") {
		if !strings.HasPrefix(f, "share/doc/ocirt/") {
			got = append(got, f)
		}
	}
	slices.Sort(got)
	if want := installed(t, "", "vendor-completions", ".gz"); !slices.Equal(got, want) {
		t.Errorf("installed:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, doc := range []string{"copyright", "changelog.gz", "README.md", "clients.md"} {
		if _, err := os.Stat(root + "/usr/share/doc/ocirt/" + doc); err != nil {
			t.Error(err)
		}
	}
	if text := do(t, "/", root+"/usr/sbin/ocirt", "--version"); !strings.HasPrefix(text, "ocirt version ") {
		t.Errorf("%s", text)
	}
	dpkg("--verify", "ocirt")
	dpkg("--remove", "ocirt")
	dpkg("--purge", "ocirt")
	entries, err := os.ReadDir(root)
	must(t, err)
	for _, e := range entries {
		if e.Name() != "var" {
			t.Errorf("left behind: %s: %q", e.Name(), files(t, filepath.Join(root, e.Name())))
		}
	}
	for _, f := range files(t, root+"/var") {
		if strings.Contains(f, "ocirt") {
			t.Errorf("left behind: %s", f)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}
