package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// makeArchive writes an image for the clients: one layer with a static busybox, as the OCI
// layout that podman and containerd load and, in the same file, what `docker load` wants.
// It is used by the build script: vm archive BUSYBOX OUT NAME COMMAND...
func makeArchive(_ context.Context, _ *options, args []string) (int, error) {
	if len(args) < 4 {
		return statusUsage, errors.New("want vm archive BUSYBOX OUT NAME COMMAND")
	}
	layer, err := busyboxLayer(args[0])
	if err != nil {
		return statusFailed, fmt.Errorf("cannot make a layer: %w", err)
	}
	data, err := ociArchive(layer, "localhost/"+args[2]+":latest", args[3:])
	if err == nil {
		err = os.WriteFile(args[1], data, 0o644)
	}
	if err != nil {
		return statusFailed, fmt.Errorf("cannot write %s: %w", args[1], err)
	}
	return 0, nil
}

// tarFile is a tar archive in memory. Writing there does not fail.
type tarFile struct {
	buf bytes.Buffer
	tar *tar.Writer
}

func newTar() *tarFile {
	t := &tarFile{}
	t.tar = tar.NewWriter(&t.buf)
	return t
}

func (t *tarFile) add(h tar.Header, data []byte) {
	h.Size, h.Format = int64(len(data)), tar.FormatPAX
	_ = t.tar.WriteHeader(&h)
	_, _ = t.tar.Write(data)
}

func (t *tarFile) bytes() []byte {
	_ = t.tar.Close()
	return t.buf.Bytes()
}

func busyboxLayer(busybox string) ([]byte, error) {
	program, err := os.ReadFile(busybox)
	if err != nil {
		return nil, err
	}
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return nil, err
	}
	t := newTar()
	for name, mode := range map[string]int64{"tmp": 0o1777, "root": 0o700} {
		t.add(tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode}, nil)
	}
	for name := range strings.FieldsSeq("bin etc home proc sys dev var run") {
		t.add(tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, nil)
	}
	t.add(tar.Header{Typeflag: tar.TypeDir, Name: "home/u", Mode: 0o755, Uid: 1000}, nil)
	t.add(tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755}, program)
	for name := range strings.FieldsSeq(string(applets)) {
		if name != "busybox" {
			t.add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox", Mode: 0o777}, nil)
		}
	}
	t.add(tar.Header{Typeflag: tar.TypeSymlink, Name: "sbin", Linkname: "bin", Mode: 0o777}, nil)
	t.add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644},
		[]byte("root:x:0:0:root:/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"))
	t.add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/group", Mode: 0o644},
		[]byte("root:x:0:\nu:x:1000:\nextra:x:2000:u\nnogroup:x:65534:\n"))
	return t.bytes(), nil
}

func ociArchive(layer []byte, name string, command []string) ([]byte, error) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(layer); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	type object = map[string]any
	t := newTar()
	put := func(name string, data []byte) {
		t.add(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, data)
	}
	sum := func(data []byte) string {
		s := sha256.Sum256(data)
		return hex.EncodeToString(s[:])
	}
	blob := func(kind string, data []byte) object {
		put("blobs/sha256/"+sum(data), data)
		return object{"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + sum(data), "size": len(data)}
	}
	text := func(v any) []byte {
		data, _ := json.Marshal(v) // maps, strings and numbers
		return data
	}
	config := text(object{
		"architecture": "amd64", "os": "linux", "created": "2020-01-01T00:00:00Z",
		"config": object{"Env": []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, "Cmd": command, "WorkingDir": "/"},
		"rootfs": object{"type": "layers", "diff_ids": []string{"sha256:" + sum(layer)}},
	})
	manifest := blob("manifest.v1+json", text(object{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": blob("config.v1+json", config),
		"layers": []object{blob("layer.v1.tar+gzip", zipped.Bytes())},
	}))
	manifest["annotations"] = object{"org.opencontainers.image.ref.name": "latest", "io.containerd.image.name": name}
	put("oci-layout", text(object{"imageLayoutVersion": "1.0.0"}))
	put("index.json", text(object{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []object{manifest}}))
	put("manifest.json", text([]object{{
		"Config": "blobs/sha256/" + sum(config), "RepoTags": []string{name},
		"Layers": []string{"blobs/sha256/" + sum(zipped.Bytes())},
	}}))
	return t.bytes(), nil
}
