package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/internal/need"
)

// The pages are ones that a formatter reads without complaint.
func TestManPagesAreWellFormed(t *testing.T) {
	mandoc := need.Tool(t, "mandoc")
	pages, err := filepath.Glob(top + "/docs/man/*.8")
	must(t, err)
	out, err := exec.Command(mandoc, append([]string{"-Tlint", "-Wwarning"}, pages...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
	text := do(t, "/", mandoc, "-Tascii", must1(filepath.Abs(top+"/docs/man/ocirt-create.8")))
	plain := overstruck(text)
	for _, want := range []string{"ocirt-create", "--console-socket PATH", "--bundle, -b DIR"} {
		if !strings.Contains(plain, want) {
			t.Errorf("the page does not say %q:\n%s", want, plain)
		}
	}
}

func must1(s string, err error) string {
	if err != nil {
		return err.Error()
	}
	return s
}

// overstruck takes the bold and underlined letters of a terminal's page apart.
func overstruck(text string) string {
	var b []rune
	for _, r := range text {
		if r == '\b' && len(b) > 0 {
			b = b[:len(b)-1]
			continue
		}
		b = append(b, r)
	}
	return string(b)
}

// A typed line and what completes its last word; all: what must be among it.
type typed struct {
	line string
	all  []string
	not  []string
}

func lines(root string) []typed {
	return []typed{
		{"ocirt ", []string{"create", "delete", "run", "validate"}, []string{"--root"}},
		{"ocirt cr", []string{"create"}, []string{"delete"}},
		{"ocirt --lo", []string{"--log", "--log-format", "--log-level"}, []string{"--root"}},
		{"ocirt --log-format ", []string{"text", "json"}, []string{"create"}},
		{"ocirt --root " + root + " st", []string{"start", "state"}, []string{"run"}},
		{"ocirt --root " + root + " state ", []string{"calm-heron", "glad-owl"}, []string{"state"}},
		{"ocirt --root " + root + " kill calm-heron K", []string{"KILL"}, []string{"calm-heron"}},
		{"ocirt --debug delete --f", []string{"--force"}, []string{"--root"}},
		{"ocirt list --format ", []string{"table", "json"}, []string{"calm-heron"}},
		{"ocirt spec --bundle /us", []string{"/usr"}, nil},
	}
}

// program puts an ocirt into PATH that knows two containers, if it is asked about the right
// state directory.
func program(t *testing.T) (path, root string) {
	t.Helper()
	dir := t.TempDir()
	root = dir + "/state"
	script := "#!/bin/sh\n[ \"$*\" = '--root " + root + " list -q' ] && printf 'calm-heron\\nglad-owl\\n'\n"
	must(t, os.WriteFile(dir+"/ocirt", []byte(script), 0o755))
	return dir + ":" + os.Getenv("PATH"), root
}

func check(t *testing.T, line typed, got []string) {
	t.Helper()
	for i := range got {
		got[i] = strings.TrimRight(got[i], "/ ")
	}
	for _, w := range line.all {
		if !slices.Contains(got, w) {
			t.Errorf("%q offers %q, and not %q", line.line, got, w)
		}
	}
	for _, w := range line.not {
		if slices.Contains(got, w) {
			t.Errorf("%q offers %q", line.line, w)
		}
	}
}

func TestBashCompletes(t *testing.T) {
	bash := need.Tool(t, "bash")
	path, root := program(t)
	file := must1(filepath.Abs(top + "/docs/completions/ocirt.bash"))
	for _, line := range lines(root) {
		words := strings.Split(line.line, " ")
		script := `. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ocirt; printf '%s\n' "${COMPREPLY[@]}"`
		cmd := exec.Command(bash, append([]string{"--norc", "-c", script, file}, words...)...)
		cmd.Env = []string{"PATH=" + path}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v: %s", line.line, err, out)
		}
		check(t, line, strings.Split(string(out), "\n"))
	}
}

func TestFishCompletes(t *testing.T) {
	fish := need.Tool(t, "fish")
	path, root := program(t)
	file := must1(filepath.Abs(top + "/docs/completions/ocirt.fish"))
	home := t.TempDir()
	for _, line := range lines(root) {
		cmd := exec.Command(fish, "--no-config", "-c", `source $argv[1]; complete -C $argv[2]`, file, line.line)
		cmd.Env = []string{"PATH=" + path, "HOME=" + home}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v: %s", line.line, err, out)
		}
		var got []string
		for l := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "\t")
			got = append(got, word)
		}
		check(t, line, got)
	}
}

// zsh completes only for somebody at a terminal: what is offered is caught on its way there.
const zshScript = `
zmodload zsh/zpty || exit 9
zpty z zsh -f -i
say() { zpty -w z "$1"; }
say 'PS1= PROMPT_EOL_MARK= ; unsetopt zle_bracketed_paste; export COLUMNS=300'
say "fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -d ~/dump; bindkey '^I' complete-word"
say 'compadd() { local -a __hits; builtin compadd -O __hits "$@"; print -r -l -- "<offer>"${^__hits}; builtin compadd "$@" }'
say 'print re''ady'
zpty -r z out '*ready*'
zpty -w -n z "$2"$'\t'
sleep 0.2
say ''
say 'print do''ne'
zpty -r z out '*done*'
print -r -- "$out"
zpty -d z
`

func TestZshCompletes(t *testing.T) {
	zsh := need.Tool(t, "zsh")
	path, root := program(t)
	dir := must1(filepath.Abs(top + "/docs/completions"))
	home := t.TempDir() // what zsh finds out about its completions is kept there for the next line
	for _, line := range lines(root) {
		cmd := exec.Command(zsh, "-f", "-c", zshScript, "zsh", dir, line.line)
		cmd.Env = []string{"PATH=" + path, "TERM=dumb", "HOME=" + home}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%q: %v: %s", line.line, err, out)
		}
		var got []string
		for l := range strings.Lines(string(out)) {
			if _, word, ok := strings.Cut(strings.TrimRight(l, "\r\n"), "<offer>"); ok {
				got = append(got, word)
			}
		}
		if strings.HasSuffix(line.line, "/us") { // it leaves out the folder that was typed
			line.all = []string{"usr"}
		}
		check(t, line, got)
	}
}
