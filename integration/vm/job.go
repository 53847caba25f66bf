package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A job is a command for the machine, with the files that it needs.
type job struct {
	command  []string
	dir      string // copied to /lab/in, where the command runs; empty: nothing
	env      []string
	user     string
	limit    time.Duration
	out      string // gets what is left in /lab/out; empty: nobody does
	terminal bool   // a shell on this terminal, instead of the command
}

// statusFile is how the agent sends the exit status, among the files that come back.
const statusFile = "./.status"

// write packs the job as the tar archive that is the machine's second disk.
func (j job) write(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	files := map[string]string{"user": j.user, "timeout": strconv.Itoa(int(j.limit.Seconds())), "cmd": j.script()}
	if j.terminal {
		files["terminal"] = ""
	}
	for name, text := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: "job/" + name, Mode: 0o644, Size: int64(len(text))}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	if err := addTree(w, filepath.Join(here, "guest"), "guest"); err != nil {
		return err
	}
	if j.dir == "" {
		err = w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "in/", Mode: 0o755})
	} else {
		err = addTree(w, j.dir, "in")
	}
	return errors.Join(err, w.Close())
}

// script is the command for bash.
func (j job) script() string {
	var s strings.Builder
	for _, e := range j.env {
		s.WriteString("export " + quote(e) + "\n")
	}
	for _, word := range j.command {
		s.WriteString(quote(word) + " ")
	}
	s.WriteString("\n")
	return s.String()
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// addTree adds a folder under another name. Modes are kept, owners are root.
func addTree(w *tar.Writer, dir, name string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode()&(fs.ModeSocket|fs.ModeNamedPipe) != 0 {
			return nil
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if link, err = os.Readlink(path); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		h.Name = filepath.Join(name, inside)
		if d.IsDir() {
			h.Name += "/"
		}
		h.Uid, h.Gid, h.Uname, h.Gname, h.Format = 0, 0, "", "", tar.FormatGNU
		if err := w.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		return addContents(w, path)
	})
}

func addContents(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// collect unpacks what came back, and returns the exit status.
func (j job) collect(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	first, err := tar.NewReader(f).Next()
	if err != nil {
		return 0, fmt.Errorf("nothing came back: %w", err)
	}
	if first.Name != statusFile {
		return 0, fmt.Errorf("%s came back first, not the exit status", first.Name)
	}
	text := make([]byte, first.Size)
	if _, err := f.ReadAt(text, 512); err != nil {
		return 0, err
	}
	status, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || j.out == "" {
		return status, err
	}
	if err := os.MkdirAll(j.out, 0o755); err != nil {
		return status, err
	}
	out, err := exec.Command("tar", "-C", j.out, "--exclude", statusFile, "-xf", path).CombinedOutput()
	if err != nil {
		return status, fmt.Errorf("cannot unpack what came back: %w: %s", err, out)
	}
	return status, nil
}
