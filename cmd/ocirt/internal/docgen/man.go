package docgen

import (
	"strings"
)

// date is when the form of the pages last changed; what they say changes with the program.
const date = "2026-11-22"

// mainPage is the page of the program.
func mainPage(p program) string {
	var b strings.Builder
	head(&b, p.Name, p.Words)
	b.WriteString(".SH SYNOPSIS\n.B " + p.Name + "\n[\\fIglobal options\\fR] \\fIcommand\\fR [\\fIoptions\\fR] [\\fIarguments\\fR]\n")
	b.WriteString(".SH DESCRIPTION\n")
	prose(&b, p.Description)
	b.WriteString(".SH COMMANDS\n")
	for _, c := range p.Commands {
		b.WriteString(".TP\n.BR " + p.Name + "\\-" + c.Name + " (8)\n" + text(sentence(c.Words)) + "\n")
	}
	b.WriteString(".SH GLOBAL OPTIONS\nThey come before the command. Long ones may have one dash.\n")
	options(&b, p.Flags)
	for _, s := range sections(p.Name) {
		b.WriteString(".SH " + s[0] + "\n")
		prose(&b, s[1])
	}
	return b.String()
}

// page is the page of a command.
func page(p program, c command) string {
	var b strings.Builder
	head(&b, p.Name+"\\-"+c.Name, c.Words)
	b.WriteString(".SH SYNOPSIS\n.B " + p.Name + "\n[\\fIglobal options\\fR] \\fB" + c.Name + "\\fR")
	arguments(&b, c)
	b.WriteString("\n.SH DESCRIPTION\n")
	prose(&b, strings.TrimSpace(sentence(c.Words)+"\n\n"+c.Description))
	if len(c.Flags) > 0 {
		b.WriteString(".SH OPTIONS\n")
		options(&b, c.Flags)
	}
	if len(c.Commands) > 0 {
		b.WriteString(".SH COMMANDS\n")
	}
	for _, inner := range c.Commands {
		b.WriteString(".SS " + inner.Name + "\n\\fB" + p.Name + " " + c.Name + " " + inner.Name + "\\fR")
		arguments(&b, inner)
		b.WriteString("\n.PP\n")
		prose(&b, strings.TrimSpace(sentence(inner.Words)+"\n\n"+inner.Description))
		options(&b, inner.Flags)
	}
	b.WriteString(".SH SEE ALSO\n.BR " + p.Name + " (8)\n")
	return b.String()
}

func arguments(b *strings.Builder, c command) {
	switch {
	case len(c.Commands) > 0:
		b.WriteString(" \\fIcommand\\fR")
	case len(c.Flags) > 0:
		b.WriteString(" [\\fIoptions\\fR]")
	}
	if c.Args != "" {
		b.WriteString(" " + text(c.Args))
	}
}

func head(b *strings.Builder, name, words string) {
	b.WriteString(".\\\" Generated from the description of the command line: do not edit.\n")
	b.WriteString(".TH \"" + strings.ToUpper(name) + "\" \"8\" \"" + date + "\" \"ocirt\" \"System Administration\"\n")
	b.WriteString(".nh\n.ad l\n.SH NAME\n" + name + " \\- " + text(words) + "\n")
}

func options(b *strings.Builder, flags []flag) {
	for _, f := range flags {
		b.WriteString(".TP\n")
		for i, n := range f.Names {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString("\\fB" + dashes(n) + "\\fR")
		}
		if f.Value != "" {
			b.WriteString(" \\fI" + text(f.Value) + "\\fR")
		}
		b.WriteString("\n" + text(sentence(f.Words)) + "\n")
		if f.Default != "" {
			b.WriteString("The default is " + text(f.Default) + ".\n")
		}
	}
}

// sentence makes words into one.
func sentence(words string) string {
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:] + "."
}

// prose writes paragraphs; indented lines are examples.
func prose(b *strings.Builder, s string) {
	example, gap := false, true
	for line := range strings.SplitSeq(s, "\n") {
		switch code, indented := strings.CutPrefix(line, "    "); {
		case strings.TrimSpace(line) == "":
			if example {
				b.WriteString(".fi\n.RE\n")
			}
			if !gap {
				b.WriteString(".PP\n")
			}
			example, gap = false, true
		case indented:
			if !example {
				b.WriteString(".RS 4\n.nf\n")
			}
			b.WriteString(text(code) + "\n")
			example, gap = true, false
		default:
			b.WriteString(text(line) + "\n")
			gap = false
		}
	}
	if example {
		b.WriteString(".fi\n.RE\n")
	}
}

// text is safe from being taken for a request, or for part of one.
func text(s string) string {
	s = dashes(strings.ReplaceAll(s, `\`, `\e`))
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

// dashes makes those of flags into ones that can be copied.
func dashes(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if s[i] == '-' && (i == 0 || strings.IndexByte(" -[(`|", s[i-1]) >= 0) {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// sections are what is true of all commands.
func sections(name string) [][2]string {
	return [][2]string{
		{"EXIT STATUS", `0 on success, 1 on errors, 3 if there is no such command. "run" and "exec" end with the status of
the container's program, or with 128 and the number of the signal that ended it; an exec that
cannot be started ends with 255.`},
		{"ENVIRONMENT", `XDG_RUNTIME_DIR is where ordinary users keep containers. NOTIFY_SOCKET, LISTEN_FDS, LISTEN_PID and
LISTEN_FDNAMES are those of a service manager: they are passed on to the container. PATH is
searched for newuidmap, newgidmap and ps.`},
		{"FILES", `/run/` + name + `, or $XDG_RUNTIME_DIR/` + name + `, has a directory for each container. A bundle has a
file config.json, which the runtime specification of the Open Container Initiative defines.`},
		{"EXAMPLES", `Make a bundle of a static program, look at what will be done, and run it:

    mkdir -p demo/rootfs/bin && cp busybox demo/rootfs/bin/sh
    ` + name + ` spec --bundle demo
    ` + name + ` explain demo
    ` + name + ` run demo`},
	}
}
