package main

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/cmd/ocirt/internal/docgen"
)

var update = flag.Bool("update", false, "rewrite the generated man pages and completions") //nolint:gochecknoglobals // how flags of tests are made

// described is the whole command line, as it is before anything is parsed.
func described() *cli.Command {
	a := newApp([]string{"ocirt"})
	root := a.rootCommand(false)
	for _, m := range makers() {
		root.Commands = append(root.Commands, m.make(a))
	}
	return root
}

// TestGeneratedDocs compares the man pages and completions in docs with what the
// description of the command line makes of them.
func TestGeneratedDocs(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	want := docgen.Files(described())
	if *update {
		writeDocs(t, docs, want)
	}
	for name, text := range want {
		if got, err := os.ReadFile(filepath.Join(docs, name)); err != nil || string(got) != text {
			t.Errorf("docs/%s is not what the command line's description makes of it (%v): run make docs", name, err)
		}
	}
	for _, folder := range []string{"man", "completions"} {
		entries, err := os.ReadDir(filepath.Join(docs, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if _, ok := want[folder+"/"+e.Name()]; !ok {
				t.Errorf("docs/%s/%s is about nothing: run make docs", folder, e.Name())
			}
		}
	}
}

func writeDocs(t *testing.T, docs string, files map[string]string) {
	t.Helper()
	for _, folder := range []string{"man", "completions"} {
		if err := os.RemoveAll(filepath.Join(docs, folder)); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(docs, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(docs, name), []byte(files[name]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Every command and every flag has words: they are the only documentation that is written
// by hand.
func TestEverythingHasWords(t *testing.T) {
	for _, m := range docgen.Missing(described()) {
		t.Error(m)
	}
}
