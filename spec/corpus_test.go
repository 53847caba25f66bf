package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The corpus is data for other programs too: see testdata/corpus/README.md.
type corpusRow struct {
	ID, Input, Where string
	Raw              *string
	Edits            []corpusEdit
	Patch            []corpusPatch
	Setup            string
	Options          Options
	ContainerID      string
	Expect           []corpusExpect
	Note             string
}

type corpusEdit struct {
	Cut             int
	Prepend, Append *string
	Replace, With   string
	WithBase64      []byte
	Repeat          string
	Count           int
	Then            string
}

type corpusPatch struct {
	Path   string
	Value  json.RawMessage
	Remove bool
	Repeat *struct {
		Count int
		Value json.RawMessage
		Text  string
	}
}

type corpusExpect struct{ Severity, Message, Contract string }

func readCorpus(t testing.TB) []corpusRow {
	t.Helper()
	files, err := filepath.Glob("testdata/corpus/[A-Z].json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	var all []corpusRow
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(bytes.NewReader(data))
		d.DisallowUnknownFields()
		var rows []corpusRow
		if err := d.Decode(&rows); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, rows...)
	}
	return all
}

func defaultConfig(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/corpus/default.json")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// config builds the row's config.json.
func (r corpusRow) config(t testing.TB, dir string) []byte {
	t.Helper()
	if r.Raw != nil {
		return []byte(*r.Raw)
	}
	raw := defaultConfig(t)
	for _, e := range r.Edits {
		raw = e.apply(t, raw)
	}
	if len(r.Patch) > 0 {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var doc any
		if err := d.Decode(&doc); err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Patch {
			doc = p.apply(t, doc)
		}
		var err error
		if raw, err = json.Marshal(doc); err != nil {
			t.Fatal(err)
		}
	}
	return bytes.ReplaceAll(raw, []byte("@BUNDLE"), []byte(dir))
}

func (e corpusEdit) apply(t testing.TB, raw []byte) []byte {
	t.Helper()
	if e.Cut > 0 {
		return raw[:e.Cut]
	}
	with := append([]byte(e.With), e.WithBase64...)
	with = append(append(with, strings.Repeat(e.Repeat, e.Count)...), e.Then...)
	switch {
	case e.Prepend != nil:
		return append([]byte(*e.Prepend), raw...)
	case e.Append != nil:
		return append(append(raw, *e.Append...), with...)
	}
	if n := bytes.Count(raw, []byte(e.Replace)); n != 1 {
		t.Fatalf("%q occurs %d times", e.Replace, n)
	}
	return bytes.Replace(raw, []byte(e.Replace), with, 1)
}

func (p corpusPatch) value(t testing.TB, old any) any {
	t.Helper()
	if p.Repeat == nil {
		return json.RawMessage(p.Value)
	}
	if p.Repeat.Text != "" {
		return strings.Repeat(p.Repeat.Text, p.Repeat.Count)
	}
	list, _ := old.([]any)
	for range p.Repeat.Count {
		list = append(list, p.Repeat.Value)
	}
	return list
}

// apply changes doc. Values put in earlier are decoded when a later path
// leads into them.
func (p corpusPatch) apply(t testing.TB, doc any) any {
	t.Helper()
	if raw, ok := doc.(json.RawMessage); ok {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		doc = v
	}
	name, rest, nested := strings.Cut(strings.TrimPrefix(p.Path, "/"), "/")
	deeper := p
	deeper.Path = rest
	switch node := doc.(type) {
	case map[string]any:
		switch {
		case nested:
			node[name] = deeper.apply(t, node[name])
		case p.Remove:
			if _, ok := node[name]; !ok {
				t.Fatalf("nothing to remove at %s", p.Path)
			}
			delete(node, name)
		default:
			node[name] = p.value(t, node[name])
		}
		return node
	case []any:
		if name == "-" {
			return append(node, p.value(t, nil))
		}
		i, err := strconv.Atoi(name)
		if err != nil || i >= len(node) {
			t.Fatalf("no entry %s", name)
		}
		if nested {
			node[i] = deeper.apply(t, node[i])
		} else {
			node[i] = p.value(t, node[i])
		}
		return node
	}
	t.Fatalf("nothing at %s", p.Path)
	return nil
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
		t.Skip("root may read everything")
	}
	dir := bundleDir(t)
	var b *Bundle
	var err error
	if r.Setup != "" {
		plant(t, filepath.Join(dir, ConfigName), r.Setup)
		within := time.AfterFunc(5*time.Second, func() { panic("Load hangs on " + r.Setup) })
		b, err = Load(dir)
		within.Stop()
	} else {
		b, err = Parse(dir, r.config(t, dir))
	}
	var got Problems
	if err != nil && !errors.As(err, &got) {
		t.Fatalf("the error is %T, not Problems", err)
	}
	if b != nil {
		b.Default()
		found := b.Validate(r.Options)
		if r.Where == "files" {
			found = append(found, b.CheckFiles(r.Options)...)
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

// bundleDir makes what README.md of the corpus promises.
func bundleDir(t *testing.T) string {
	t.Helper()
	// A short name of our own: t.TempDir's holds the test's name, and messages
	// cut what is long.
	top, err := os.MkdirTemp("", "s") //nolint:usetesting // the path must be short: a socket is bound in it
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(top, "b")
	t.Cleanup(func() {
		os.Chmod(filepath.Join(dir, "closed"), 0o700)
		os.RemoveAll(top)
	})
	for _, d := range []string{"b/rootfs", "b/closed/a/b", "other/rootfs"} {
		if err := os.MkdirAll(filepath.Join(top, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.WriteFile(filepath.Join(dir, "file"), nil, 0o644),
		os.Symlink("rootfs", filepath.Join(dir, "link")),
		os.Chmod(filepath.Join(dir, "closed"), 0),
		syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// plant puts something that is no ordinary file at path.
func plant(t *testing.T, path, what string) {
	t.Helper()
	var err error
	switch what {
	case "missing":
	case "fifo":
		err = syscall.Mkfifo(path, 0o600)
	case "folder":
		err = os.Mkdir(path, 0o755)
	case "device":
		err = os.Symlink("/dev/zero", path)
	case "socket":
		var l net.Listener
		if l, err = net.Listen("unix", path); err == nil {
			t.Cleanup(func() { l.Close() })
		}
	case "loop":
		err = os.Symlink(ConfigName, path)
	case "unreadable":
		err = os.WriteFile(path, []byte("{}"), 0)
	case "sparse":
		if err = os.WriteFile(path, nil, 0o600); err == nil {
			err = os.Truncate(path, 100<<20)
		}
	default:
		t.Fatalf("unknown setup %q", what)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A process file has the same rules with other paths.
func TestCorpusAsProcessFile(t *testing.T) {
	ran := 0
	for _, r := range readCorpus(t) {
		if r.Where != "static" || r.ID[0] != 'P' || r.Options != (Options{}) || len(r.Expect) == 0 {
			continue
		}
		config := r.config(t, "/b")
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
