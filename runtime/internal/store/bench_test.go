package store

import (
	"os"
	"strings"
	"testing"
)

func benchDir(b *testing.B) *Dir {
	b.Helper()
	base := b.TempDir()
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() { // a tmpfs, as /run is
		if base, err = os.MkdirTemp("/dev/shm", "ocirt-store"); err != nil { //nolint:usetesting // it must be on a tmpfs
			b.Fatal(err)
		}
		b.Cleanup(func() { os.RemoveAll(base) })
	}
	r, err := Open(base+"/root", OpenOptions{Create: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Close() })
	d, err := r.Create("x", big())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { d.Close() })
	if err := d.Save(big()); err != nil {
		b.Fatal(err)
	}
	return d
}

// big is a record with a config.json of 20 KiB.
func big() *Record {
	rec := sample("x")
	rec.Config = []byte(`{"a":[` + strings.Repeat(`{"type":"bind","options":["ro","nosuid"],"n":12},`, 400) + `1]}`)
	return rec
}

func BenchmarkSave(b *testing.B) {
	d, rec := benchDir(b), big()
	for b.Loop() {
		if err := d.Save(rec); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	d := benchDir(b)
	for b.Loop() {
		if _, err := d.Load(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAlive(b *testing.B) {
	id, err := Identify(os.Getpid())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, ok, err := id.Alive(); !ok || err != nil {
			b.Fatal(err)
		}
	}
}
