package corpus

import (
	"testing"

	"github.com/ocirt/ocirt/internal/badinput"
)

// A row of the corpus of bad inputs.
type row struct{ badinput.Row }

// tables reads all of them: their names, and their rows.
func tables(t testing.TB) (names []string, rows map[string][]row) {
	t.Helper()
	names, read := badinput.Tables(t)
	rows = map[string][]row{}
	for name, list := range read {
		for _, r := range list {
			rows[name] = append(rows[name], row{r})
		}
	}
	return names, rows
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
