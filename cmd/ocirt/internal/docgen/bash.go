package docgen

import (
	"strings"
)

// bash is the completion for bash. It needs nothing of the package bash-completion.
func bash(p program) string {
	var b strings.Builder
	n := p.Name
	b.WriteString("# Generated from the description of the command line: do not edit.\n")
	b.WriteString("_" + n + `_ids() { COMPREPLY=($(compgen -W "$(` + n + ` "${root[@]}" list -q 2>/dev/null)" -- "$cur")); }
_` + n + `_files() { compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$cur")); }
_` + n + `_dirs() { compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$cur")); }
_` + n + `_words() { COMPREPLY=($(compgen -W "$1" -- "$cur")); }

_` + n + `() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} cmd= root=() i=1 args=0 valued
	COMPREPLY=()
	[ "$cur" != "=" ] || cur=
	[ "$prev" != "=" ] || prev=${COMP_WORDS[COMP_CWORD - 2]}
	while [ $i -lt $COMP_CWORD ]; do
		if [ -z "$cmd" ]; then
			case ${COMP_WORDS[i]} in
			--root | -root)
				[ "${COMP_WORDS[i + 1]}" != "=" ] || i=$((i + 1))
				root=(--root "${COMP_WORDS[i + 1]}")
				i=$((i + 1)) ;;
			` + strings.Join(without(valued(p.Flags), "--root"), " | ") + `)
				[ "${COMP_WORDS[i + 1]}" != "=" ] || i=$((i + 1))
				i=$((i + 1)) ;;
			-*) ;;
			*) cmd=${COMP_WORDS[i]} ;;
			esac
		else
			_` + n + `_valued "$cmd"
			case " $valued " in
			*" ${COMP_WORDS[i]} "*)
				[ "${COMP_WORDS[i + 1]}" != "=" ] || i=$((i + 1))
				i=$((i + 1)) ;;
			*) case ${COMP_WORDS[i]} in -*) ;; *) args=$((args + 1)) ;; esac ;;
			esac
		fi
		i=$((i + 1))
	done
	case "$cmd" in
	"")
		case "$prev" in
`)
	bashValues(&b, p.Flags, n)
	b.WriteString("\t\t*)\n\t\t\tcase \"$cur\" in\n\t\t\t-*) _" + n + "_words \"" + names(p.Flags) + " --help --version\" ;;\n")
	b.WriteString("\t\t\t*) _" + n + "_words \"" + commandNames(p) + " help\" ;;\n\t\t\tesac ;;\n\t\tesac ;;\n")
	for _, c := range p.Commands {
		bashCommand(&b, c, n)
	}
	b.WriteString("\tesac\n}\n\n_" + n + "_valued() {\n\tcase $1 in\n")
	for _, c := range p.Commands {
		if list := valued(c.Flags); len(list) > 0 {
			b.WriteString("\t" + c.Name + ") valued=\"" + strings.Join(list, " ") + "\" ;;\n")
		}
	}
	b.WriteString("\t*) valued= ;;\n\tesac\n}\n\ncomplete -F _" + n + " " + n + "\n")
	return b.String()
}

func bashCommand(b *strings.Builder, c command, n string) {
	b.WriteString("\t" + c.Name + ")\n\t\tcase \"$prev\" in\n")
	bashValues(b, c.Flags, n)
	b.WriteString("\t\t*)\n\t\t\tcase \"$cur:$args\" in\n\t\t\t-*) _" + n + "_words \"" + strings.TrimSpace(names(c.Flags)+" --help") + "\" ;;\n")
	call := bashKind(c.first(), n)
	if c.first() == kindCommand {
		call = "_" + n + "_words \"" + commandNames(c) + "\""
	}
	if call != "" {
		b.WriteString("\t\t\t*:0) " + call + " ;;\n")
	}
	if call := bashKind(c.second(), n); call != "" {
		b.WriteString("\t\t\t*:1) " + call + " ;;\n")
	}
	b.WriteString("\t\t\tesac ;;\n\t\tesac ;;\n")
}

// bashValues writes the cases of flags whose value is being typed.
func bashValues(b *strings.Builder, flags []flag, n string) {
	for _, f := range flags {
		if f.Value == "" {
			continue
		}
		call := bashKind(f.kind(), n)
		if len(f.Choices) > 0 {
			call = "_" + n + "_words \"" + strings.Join(f.Choices, " ") + "\""
		}
		if call == "" {
			call = ":"
		}
		b.WriteString("\t\t" + strings.Join(f.Names, " | ") + ") " + call + " ;;\n")
	}
}

func bashKind(kind int, n string) string {
	switch kind {
	case kindFile:
		return "_" + n + "_files"
	case kindDir:
		return "_" + n + "_dirs"
	case kindContainer:
		return "_" + n + "_ids"
	case kindSignal:
		return "_" + n + "_words \"" + signals() + "\""
	}
	return ""
}

func names(flags []flag) string {
	var list []string
	for _, f := range flags {
		list = append(list, f.Names[0])
	}
	return strings.Join(list, " ")
}

func commandNames(p program) string {
	var list []string
	for _, c := range p.Commands {
		list = append(list, c.Name)
	}
	return strings.Join(list, " ")
}

func without(list []string, name string) []string {
	var out []string
	for _, s := range list {
		if s != name {
			out = append(out, s)
		}
	}
	return out
}
