package docgen

import (
	"strings"
)

// zsh is the completion for zsh, to be found as _NAME in its fpath.
func zsh(p program) string {
	var b strings.Builder
	n := p.Name
	b.WriteString("#compdef " + n + "\n# Generated from the description of the command line: do not edit.\n\n")
	b.WriteString("_" + n + `_ids() {
	local -a ids
	ids=(${(f)"$(` + n + ` $root list -q 2>/dev/null)"})
	compadd -a ids
}

_` + n + `_commands() {
	local -a commands
	commands=(
`)
	for _, c := range p.Commands {
		b.WriteString("\t\t" + quote(c.Name+":"+c.Words) + "\n")
	}
	b.WriteString("\t)\n\t_describe command commands\n}\n\n_" + n + "() {\n\tlocal curcontext=$curcontext state line\n\ttypeset -A opt_args\n")
	b.WriteString("\t_arguments -C \\\n")
	for _, f := range p.Flags {
		zshFlag(&b, f, n)
	}
	b.WriteString("\t\t'(- *)'{-v,--version}'[print the version]' \\\n\t\t'(- *)'{-h,--help}'[show help]' \\\n")
	b.WriteString("\t\t'1:command:_" + n + "_commands' '*::argument:->arguments'\n")
	b.WriteString("\t[[ $state = arguments ]] || return\n\tlocal -a root\n\t[[ -z $opt_args[--root] ]] || root=(--root $opt_args[--root])\n\tcase $words[1] in\n")
	for _, c := range p.Commands {
		b.WriteString("\t" + c.Name + ")\n\t\t_arguments \\\n")
		for _, f := range c.Flags {
			zshFlag(&b, f, n)
		}
		b.WriteString("\t\t'(- *)'{-h,--help}'[show help]' \\\n")
		first := zshKind(c.first(), n)
		if c.first() == kindCommand {
			first = "(" + commandNames(c) + ")"
		}
		b.WriteString("\t\t" + quote("1:argument:"+first) + " " + quote("*:argument:"+zshKind(c.second(), n)) + " ;;\n")
	}
	b.WriteString("\tesac\n}\n\n_" + n + " \"$@\"\n")
	return b.String()
}

func zshFlag(b *strings.Builder, f flag, n string) {
	words := strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`).Replace(f.Words)
	spec := "[" + words + "]"
	if f.Value != "" {
		action := zshKind(f.kind(), n)
		if len(f.Choices) > 0 {
			action = "(" + strings.Join(f.Choices, " ") + ")"
		}
		spec = "=" + spec + ":value:" + action
	}
	for _, name := range f.Names {
		s := spec
		if !strings.HasPrefix(name, "--") {
			s = strings.TrimPrefix(s, "=")
		}
		b.WriteString("\t\t" + quote(name+s) + " \\\n")
	}
}

func zshKind(kind int, n string) string {
	switch kind {
	case kindFile:
		return "_files"
	case kindDir:
		return "_files -/"
	case kindContainer:
		return "_" + n + "_ids"
	case kindSignal:
		return "(" + signals() + ")"
	}
	return ""
}

// quote quotes for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
