package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	maxFile     = 400
	maxFunction = 60
)

// sources calls f for every Go file of the project that is not generated.
func sources(t *testing.T, f func(path string, file *ast.File, set *token.FileSet)) {
	t.Helper()
	n := 0
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "vendor" || strings.HasPrefix(d.Name(), ".") && path != root) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasPrefix(d.Name(), "zz_") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		n++
		f(path, file, set)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 50 {
		t.Errorf("only %d files were looked at", n)
	}
}

func TestLengths(t *testing.T) {
	sources(t, func(path string, file *ast.File, set *token.FileSet) {
		if n := set.Position(file.End()).Line; n > maxFile {
			t.Errorf("%s has %d lines, more than %d: split it by idea", path, n, maxFile)
		}
		lines := func(n ast.Node) int { return set.Position(n.End()).Line - set.Position(n.Pos()).Line }
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil || isOrderList(fn) {
				continue
			}
			n := lines(fn)
			if strings.HasSuffix(path, "_test.go") {
				n -= table(fn, lines)
			}
			if n > maxFunction {
				t.Errorf("%s: %s has %d lines, more than %d", path, fn.Name.Name, n, maxFunction)
			}
		}
	})
}

// table is how many lines of a test are its longest list of cases.
func table(fn *ast.FuncDecl, lines func(ast.Node) int) int {
	most := 0
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		if lit, ok := n.(*ast.CompositeLit); ok {
			most = max(most, lines(lit))
		}
		return true
	})
	return most
}

// isOrderList exempts functions that are nothing but a list: one composite literal.
func isOrderList(fn *ast.FuncDecl) bool {
	if len(fn.Body.List) != 1 {
		return false
	}
	ret, ok := fn.Body.List[0].(*ast.ReturnStmt)
	if !ok || len(ret.Results) != 1 {
		return false
	}
	_, ok = ret.Results[0].(*ast.CompositeLit)
	return ok
}

// contract are beginnings of error texts that engines match; reference words win over
// taste.
func contract() []string {
	return []string{"unable to start container process", "unable to set", "unable to apply", "unable to stat preserved-fd", "unable to restrict", "error running", "error during container init", "unable to move network devices", "error mounting", "failed to connect with seccomp agent"}
}

func TestErrorTexts(t *testing.T) {
	sources(t, func(path string, file *ast.File, set *token.FileSet) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 || !makesError(call) {
				return true
			}
			lit, ok := call.Args[0].(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				return true
			}
			if why := badError(text); why != "" {
				t.Errorf("%s: %q %s", set.Position(lit.Pos()), text, why)
			}
			return true
		})
	})
}

func makesError(call *ast.CallExpr) bool {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && (x.Name == "fmt" && sel.Sel.Name == "Errorf" || x.Name == "errors" && sel.Sel.Name == "New")
}

func badError(text string) string {
	for _, c := range contract() {
		if strings.HasPrefix(text, c) {
			return ""
		}
	}
	for _, bad := range []string{"failed", "unable", "error", "could not", "can't"} {
		if strings.HasPrefix(strings.ToLower(text), bad) {
			return "begins with " + strconv.Quote(bad) + ": say what cannot be done"
		}
	}
	if strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "...") {
		return "ends with a full stop"
	}
	return ""
}

// TestUnsafePaths finds filepath.Join with a path that is not to be trusted: it must become
// a handle through package safepath.
func TestUnsafePaths(t *testing.T) {
	sources(t, func(path string, file *ast.File, set *token.FileSet) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Join" {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); !ok || x.Name != "filepath" && x.Name != "path" {
				return true
			}
			for _, a := range call.Args {
				if id, ok := a.(*ast.Ident); ok && strings.HasPrefix(strings.ToLower(id.Name), "unsafe") {
					t.Errorf("%s: %s is joined as a string", set.Position(call.Pos()), id.Name)
				}
			}
			return true
		})
	})
}
