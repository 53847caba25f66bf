package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// records writes log records in the two forms that callers of runc read: a text line, and
// one JSON object a line. It is a slog.Handler.
type records struct {
	stderr io.Writer
	file   io.Writer // of --log; nil: standard error
	json   bool
	plain  bool // standard error is a terminal: people do not want keys and quotes
	level  slog.Level
	attrs  []slog.Attr
	held   *[][]byte // warnings wait here until an error had the chance to come first
}

// standardError writes to descriptor 2. An *os.File would end the program when nobody reads
// there any more, in the middle of whatever it does.
type standardError struct{}

func (standardError) Write(b []byte) (int, error) {
	for n := 0; n < len(b); {
		m, err := unix.Write(2, b[n:])
		if err != nil && err != unix.EINTR {
			return n, err
		}
		n += max(m, 0)
	}
	return len(b), nil
}

// openLog acts on the flags that concern the log.
func (a *app) openLog() error {
	a.logOpened = true
	r := &records{stderr: standardError{}, level: slog.LevelInfo}
	switch a.logFormat {
	case "json":
		// Readers of a JSON log expect one record, the error, and nothing else.
		r.json, r.level = true, slog.LevelError
	case "text", "":
	default:
		return fmt.Errorf("invalid log-format: %s", a.logFormat)
	}
	switch a.logLevel {
	case "":
	case "error", "fatal":
		r.level = slog.LevelError
	case "warning", "warn":
		r.level = slog.LevelWarn
	case "info":
		r.level = slog.LevelInfo
	case "debug":
		r.level = slog.LevelDebug
	default:
		return fmt.Errorf("invalid log-level: %s", a.logLevel)
	}
	if a.debug {
		r.level = slog.LevelDebug
	}
	if a.logFile != "" && a.logFile != "/dev/stderr" {
		// A FIFO that nobody reads must not stop us.
		const flags = os.O_WRONLY | os.O_CREATE | os.O_APPEND | os.O_SYNC | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
		f, err := os.OpenFile(a.logFile, flags, 0o644)
		if err != nil {
			return fmt.Errorf("--log: cannot open the file: %w", err)
		}
		r.file = f
	}
	if r.file == nil && !r.json {
		_, err := unix.IoctlGetTermios(2, unix.TCGETS)
		r.plain = err == nil
	}
	r.held = a.records.held
	a.records, a.log = r, slog.New(r)
	return nil
}

// logStays reports whether the log can be closed and opened again without anybody noticing,
// and nothing is missing in it meanwhile.
func (a *app) logStays() bool {
	r := a.records
	if r.level <= slog.LevelDebug {
		return false
	}
	f, ok := r.file.(*os.File)
	if !ok {
		return true
	}
	st, err := f.Stat()
	return err == nil && st.Mode().IsRegular() && !strings.HasPrefix(a.logFile, "/proc/") && !strings.HasPrefix(a.logFile, "/dev/")
}

// hold makes warnings wait. The first line on standard error is what some callers show, so
// it should be the error if there is one.
func (a *app) hold() {
	if a.records.level > slog.LevelDebug && a.records.file == nil {
		a.records.held = &[][]byte{}
	}
}

// release writes what was held.
func (a *app) release() {
	if held := a.records.held; held != nil {
		a.records.held = nil
		for _, line := range *held {
			_, _ = a.records.stderr.Write(line)
		}
	}
}

func (r *records) Enabled(_ context.Context, l slog.Level) bool { return l >= r.level }

func (r *records) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *r
	c.attrs = append(c.attrs[:len(c.attrs):len(c.attrs)], attrs...)
	return &c
}

func (r *records) WithGroup(string) slog.Handler { return r }

func (r *records) Handle(_ context.Context, rec slog.Record) error {
	attrs := r.attrs
	rec.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a); return true })
	var line []byte
	switch {
	case r.json:
		line = jsonLine(rec, attrs)
	case r.plain:
		line = plainLine(rec, attrs)
	default:
		line = textLine(rec, attrs)
	}
	if r.held != nil && rec.Level < slog.LevelError {
		*r.held = append(*r.held, line)
		return nil
	}
	w := r.file
	if w == nil {
		w = r.stderr
	}
	_, err := w.Write(line) // one call: several programs append to the same file
	return err
}

func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "error"
	case l >= slog.LevelWarn:
		return "warning"
	case l >= slog.LevelInfo:
		return "info"
	}
	return "debug"
}

func textLine(rec slog.Record, attrs []slog.Attr) []byte {
	b := append([]byte(`time="`), rec.Time.Format(time.RFC3339)...)
	b = append(append(b, `" level=`...), levelName(rec.Level)...)
	b = strconv.AppendQuote(append(b, ` msg=`...), rec.Message)
	for _, a := range attrs {
		b = append(append(append(b, ' '), a.Key...), '=')
		b = strconv.AppendQuote(b, a.Value.String())
	}
	return append(b, '\n')
}

func plainLine(rec slog.Record, attrs []slog.Attr) []byte {
	var b strings.Builder
	if rec.Level < slog.LevelError {
		b.WriteString(levelName(rec.Level) + ": ")
	}
	b.WriteString(rec.Message)
	for _, a := range attrs {
		fmt.Fprintf(&b, " %s=%q", a.Key, a.Value.String())
	}
	return []byte(printable(b.String()) + "\n")
}

func jsonLine(rec slog.Record, attrs []slog.Attr) []byte {
	b := append([]byte(`{"level":"`), levelName(rec.Level)...)
	b = append(append(b, `","msg":`...), quoteJSON(rec.Message)...)
	b = append(append(b, `,"time":"`...), rec.Time.Format(time.RFC3339)...)
	b = append(b, '"')
	for _, a := range attrs {
		b = append(append(append(b, ','), quoteJSON(a.Key)...), ':')
		b = append(b, quoteJSON(a.Value.String())...)
	}
	return append(b, "}\n"...)
}

// quoteJSON gives text as a JSON string; invalid UTF-8 becomes U+FFFD.
func quoteJSON(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`) // cannot happen: any string can be encoded
	}
	return b
}

// printable escapes what a terminal might act upon: text from an image or a container can
// be in any message.
func printable(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '\n', r != utf8.RuneError && unicode.IsPrint(r):
			b.WriteString(s[:n])
		default:
			q := strconv.Quote(s[:n])
			b.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	return b.String()
}
