package house

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestPackageComments: every package says what it is.
func TestPackageComments(t *testing.T) {
	said := map[string]string{}
	sources(t, func(path string, file *ast.File, _ *token.FileSet) {
		said[filepath.Dir(path)] += file.Doc.Text()
		word := "Package " + file.Name.Name + " "
		if file.Name.Name == "main" {
			word = "Command "
		}
		if file.Doc != nil && !strings.HasPrefix(file.Doc.Text(), word) {
			t.Errorf("%s: the package comment does not begin with %q", path, word)
		}
	})
	for dir, text := range said {
		if text == "" {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

// TestSkips: who reads that a test was skipped can tell why.
func TestSkips(t *testing.T) {
	const fewWords = 4
	sources(t, func(path string, file *ast.File, set *token.FileSet) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Skip" && sel.Sel.Name != "Skipf" || len(call.Args) == 0 {
				return true
			}
			lit, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				return true
			}
			why, err := strconv.Unquote(lit.Value)
			if err == nil && len(strings.Fields(why)) < fewWords {
				t.Errorf("%s: %q does not say why the test is skipped", set.Position(call.Pos()), why)
			}
			return true
		})
	})
}
