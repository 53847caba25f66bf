package runtime

import (
	"os"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/runtime/internal/criu"
)

func TestMountsAreRead(t *testing.T) {
	list, err := mountsOf("self")
	if err != nil || len(list) == 0 {
		t.Fatalf("%d mounts, %v", len(list), err)
	}
	for in, want := range map[string]string{
		`/a\040b`: "/a b", `/\134\012`: "/\\\n", `/\9`: `/\9`, `/\400x`: `/\400x`, "/": "/", `\`: `\`, `\1`: `\1`,
	} {
		if got := unescape(in); got != want {
			t.Errorf("%q is read as %q, want %q", in, got, want)
		}
	}
}

func TestBelow(t *testing.T) {
	for _, row := range [][3]string{
		{"/a/b", "/a", "/b"}, {"/a", "/a", ""}, {"/ab", "/a", ""}, {"/a", "/", "/a"}, {"/b", "/a", ""},
	} {
		if got := below(row[0], row[1]); got != row[2] {
			t.Errorf("%s below %s is %q, want %q", row[0], row[1], got, row[2])
		}
	}
}

// What a restored container may see: no more than config.json names, and writable only what
// is there.
func TestMayShow(t *testing.T) {
	trees := []hostTree{
		{dev: "8:1", root: "/rootfs", point: "/"},
		{dev: "8:1", root: "/data", point: "/ro", readOnly: true},
		{dev: "8:1", root: "/both", point: "/ro2", readOnly: true},
		{dev: "8:1", root: "/both", point: "/rw2"},
	}
	for _, row := range []struct {
		m    mount
		want string
	}{
		{mount{dev: "8:1", root: "/rootfs"}, ""},
		{mount{dev: "8:1", root: "/rootfs/etc", readOnly: true}, ""},
		{mount{dev: "8:1", root: "/data", readOnly: true}, ""},
		{mount{dev: "8:1", root: "/data"}, "would be writable"},
		{mount{dev: "8:1", root: "/data/deep"}, "would be writable"},
		{mount{dev: "8:1", root: "/both"}, ""},
		{mount{dev: "8:1", root: "/database", readOnly: true}, "does not name"},
		{mount{dev: "8:1", root: "/", readOnly: true}, "does not name"},
		{mount{dev: "8:2", root: "/rootfs"}, "does not name"},
	} {
		err := mayShow(&row.m, trees)
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v: %v, want %q", row.m, err, row.want)
		}
	}
}

// Of several trees with one source the one whose place it is, so that a read-only place
// stays one.
func TestChoose(t *testing.T) {
	list := []hostTree{
		{key: "root", dev: "8:1", root: "/r", point: "/"},
		{key: "a", dev: "8:1", root: "/x", point: "/a", readOnly: true},
		{key: "b", dev: "8:1", root: "/x", point: "/b"},
	}
	for point, want := range map[string]string{"/a": "a", "/b": "b", "/moved": "a"} {
		if h := choose(list, &mount{dev: "8:1", root: "/x", point: point}); h == nil || h.key != want {
			t.Errorf("%s: %+v, want %s", point, h, want)
		}
	}
	for _, m := range []mount{{dev: "8:1", root: "/r"}, {dev: "8:1", root: "/x/y"}, {dev: "8:2", root: "/x"}} {
		if h := choose(list, &m); h != nil {
			t.Errorf("%+v is taken for %+v", m, h)
		}
	}
}

// Two places never have one key, and a place has the same key each time.
func TestKeys(t *testing.T) {
	make := func() (keys []string) {
		c := &trees{seen: map[string]int{}}
		for _, point := range []string{"/a", "/b", "/a", "/a]:/etc", "/a"} {
			c.put("mount", point, hostTree{})
		}
		for _, h := range c.list {
			if strings.ContainsAny(h.key, "]:/, ") {
				t.Errorf("key %q", h.key)
			}
			keys = append(keys, h.key)
		}
		return keys
	}
	one, two := make(), make()
	seen := map[string]bool{}
	for i, key := range one {
		if seen[key] || two[i] != key {
			t.Errorf("keys %q and %q", one, two)
		}
		seen[key] = true
	}
}

func TestStreamNames(t *testing.T) {
	for name, want := range map[string]bool{
		"pipe:[17]": true, "socket:[1]": true, "file[1f:3]": true,
		"": false, "pipe:[]": false, "pipe:[1": false, "/etc/passwd": false, "mnt[/]:/": false,
		"file[../x]": false, "pipe:[1]:/etc]": false, "net[1]": false,
	} {
		if got := isStream(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	near, far, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	defer far.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if names := descriptorNames([]*os.File{null, nil, far, null}); len(names) != 3 || names[0] != "" || names[1] != "" || !isStream(names[2]) {
		t.Errorf("names %q", names)
	}
	if names := descriptorNames([]*os.File{null, null, null}); names != nil {
		t.Errorf("names %q", names)
	}
}

func TestPageServerAddress(t *testing.T) {
	for text, want := range map[string]criu.PageServer{
		"10.0.0.1:9": {Address: "10.0.0.1", Port: 9}, "[::1]:65535": {Address: "::1", Port: 65535}, "::1:7": {Address: "::1", Port: 7},
	} {
		if got, err := pageServer(text); err != nil || *got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ":", ":9", "x", "x:", "x:0", "x:65536", "x:-1"} {
		if got, err := pageServer(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}
