package docgen

import (
	"strings"
)

// fish is the completion for fish.
func fish(p program) string {
	var b strings.Builder
	n := p.Name
	b.WriteString("# Generated from the description of the command line: do not edit.\n" + fishFunctions(p))
	for _, f := range p.Flags {
		fishFlag(&b, f, n, "__"+n+"_none")
	}
	for _, c := range p.Commands {
		b.WriteString("complete -c " + n + " -n __" + n + "_none -a " + c.Name + " -d " + fishQuote(c.Words) + "\n")
	}
	for _, c := range p.Commands {
		when := fishQuote("__" + n + "_command " + c.Name)
		for _, f := range c.Flags {
			fishFlag(&b, f, n, when)
		}
		switch c.first() {
		case kindContainer:
			b.WriteString("complete -c " + n + " -n " + when + " -a '(__" + n + "_ids)'\n")
		case kindCommand:
			b.WriteString("complete -c " + n + " -n " + when + " -a '" + commandNames(c) + "'\n")
		case kindDir:
			b.WriteString("complete -c " + n + " -n " + when + " -a '(__fish_complete_directories)'\n")
		}
		if c.second() == kindSignal {
			b.WriteString("complete -c " + n + " -n " + when + " -a '" + signals() + "'\n")
		}
	}
	return b.String()
}

// fishFunctions tell which command is being typed, and what containers there are.
func fishFunctions(p program) string {
	n := p.Name
	return `function __` + n + `_words
	# the words after the global flags: the command and its arguments
	set -l value 0
	set -l found 0
	for word in (commandline -opc)[2..-1]
		if test $found = 1
			echo $word
		else if test $value = 1
			set value 0
		else
			switch $word
				case ` + strings.Join(valued(p.Flags), " ") + `
					set value 1
				case '-*'
				case '*'
					set found 1
					echo $word
			end
		end
	end
end

function __` + n + `_command
	set -l words (__` + n + `_words)
	test (count $words) -gt 0; and test "$words[1]" = "$argv[1]"
end

function __` + n + `_none
	test (count (__` + n + `_words)) = 0
end

function __` + n + `_ids
	set -l root
	set -l next 0
	for word in (commandline -opc)
		if test $next = 1
			set root --root $word
			set next 0
		else if test $word = --root
			set next 1
		else if string match -q -- '--root=*' $word
			set root $word
		end
	end
	` + n + ` $root list -q 2>/dev/null
end

complete -c ` + n + ` -f
complete -c ` + n + ` -n __` + n + `_none -s v -l version -d 'print the version'
complete -c ` + n + ` -s h -l help -d 'show help'
`
}

func fishFlag(b *strings.Builder, f flag, n, when string) {
	b.WriteString("complete -c " + n + " -n " + when)
	for _, name := range f.Names {
		if long, ok := strings.CutPrefix(name, "--"); ok {
			b.WriteString(" -l " + long)
		} else {
			b.WriteString(" -s " + strings.TrimPrefix(name, "-"))
		}
	}
	switch {
	case f.Value == "":
	case len(f.Choices) > 0:
		b.WriteString(" -x -a " + fishQuote(strings.Join(f.Choices, " ")))
	case f.kind() == kindFile:
		b.WriteString(" -r -F")
	case f.kind() == kindDir:
		b.WriteString(" -x -a '(__fish_complete_directories)'")
	default:
		b.WriteString(" -x")
	}
	b.WriteString(" -d " + fishQuote(f.Words) + "\n")
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
