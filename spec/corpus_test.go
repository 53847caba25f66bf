package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ocirt/ocirt/internal/badinput"
)

// A corpusRow is one of the bad inputs, which are data for other programs too: see
// testdata/corpus/README.md.
type corpusRow struct{ badinput.Row }

func readCorpus(t testing.TB) []corpusRow {
	t.Helper()
	var all []corpusRow
	for _, r := range badinput.Rows(t) {
		all = append(all, corpusRow{r})
	}
	return all
}

func TestCorpus(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range readCorpus(t) {
		if seen[r.ID] {
			t.Errorf("%s stands twice in the corpus", r.ID)
		}
		seen[r.ID] = true
		t.Run(r.ID, func(t *testing.T) {
			switch r.Where {
			case "runtime":
			case "id":
				r.runID(t)
			case "static", "files":
				r.run(t)
			default:
				t.Fatalf("unknown where: %q", r.Where)
			}
		})
	}
}

func (r corpusRow) runID(t *testing.T) {
	err := CheckID(r.ContainerID)
	switch {
	case len(r.Expect) == 0:
		if err != nil {
			t.Errorf("%q is refused: %v", r.ContainerID, err)
		}
	case err == nil:
		t.Errorf("%q is accepted", r.ContainerID)
	case err.Error() != r.Expect[0].Message:
		t.Errorf("\n got %s\nwant %s", err, r.Expect[0].Message)
	}
}

func (r corpusRow) run(t *testing.T) {
	if strings.Contains(r.Note, "ordinary user") && os.Geteuid() == 0 || r.Setup == "unreadable" && os.Geteuid() == 0 {
		t.Skip("it is about what the user may not read, and root may read everything")
	}
	dir := badinput.Bundle(t)
	var b *Bundle
	var err error
	if r.Setup != "" {
		r.Write(t, dir)
		within := time.AfterFunc(5*time.Second, func() { panic("Load hangs on " + r.Setup) })
		b, err = Load(dir)
		within.Stop()
	} else {
		b, err = Parse(dir, r.Config(t, dir))
	}
	var got Problems
	if err != nil && !errors.As(err, &got) {
		t.Fatalf("the error is %T, not Problems", err)
	}
	if b != nil {
		b.Default()
		found := b.Validate(Options(r.Options))
		if r.Where == "files" {
			found = append(found, b.CheckFiles(Options(r.Options))...)
		}
		got = append(got[:len(got):len(got)], unlessCovered(found, got)...)
		if !r.Options.Strict {
			got = append(got, b.Notes...)
		}
		got = b.inFileOrder(got)
	}
	r.compare(t, dir, got)
}

func (r corpusRow) compare(t *testing.T, dir string, got Problems) {
	t.Helper()
	text := func(severity, message, contract string) string {
		if contract != "" {
			contract = " [" + contract + "]"
		}
		return severity + ": " + message + contract + "\n"
	}
	var have, want strings.Builder
	for _, p := range got {
		severity := "error"
		if p.Warning {
			severity = "warning"
		}
		have.WriteString(text(severity, p.line(), p.Contract))
	}
	for _, e := range r.Expect {
		want.WriteString(text(e.Severity, strings.ReplaceAll(e.Message, "@BUNDLE", dir), e.Contract))
	}
	if have.String() != want.String() {
		t.Errorf("%s\n got %swant %s", r.Input, have.String(), want.String())
	}
}

// A process file has the same rules with other paths.
func TestCorpusAsProcessFile(t *testing.T) {
	ran := 0
	for _, r := range readCorpus(t) {
		if r.Where != "static" || r.ID[0] != 'P' || r.Options != (badinput.Options{}) || len(r.Expect) == 0 {
			continue
		}
		config := r.Config(t, "/b")
		var doc struct{ Process, Linux json.RawMessage }
		if err := json.Unmarshal(config, &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Process == nil || bytes.Contains(doc.Linux, []byte(`"uidMappings"`)) {
			continue
		}
		ran++
		var want []string
		for _, e := range r.Expect {
			want = append(want, strings.NewReplacer("config.json: process.", "p.json: ", "and process.env", "and env").Replace(e.Message))
		}
		_, ps := ParseProcess("p.json", doc.Process)
		var got []string
		for _, p := range ps {
			got = append(got, p.line())
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s:\n got %s\nwant %s", r.ID, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if ran < 40 {
		t.Errorf("only %d rows were tried", ran)
	}
}

func TestLoadErrorsCanBeTested(t *testing.T) {
	_, err := Load(t.TempDir())
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
	const want = "JSON specification file config.json not found: config.json: no such file or directory"
	if err.Error() != want {
		t.Errorf("\n got %s\nwant %s", err, want)
	}
}
