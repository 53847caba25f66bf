package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

// An exitCode ends the program with this code and says nothing more.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// end reports how the command ended, and returns the exit code.
func (a *app) end(err error) int {
	defer a.release()
	var silent exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &silent):
		return int(silent)
	}
	if !a.logOpened {
		_ = a.openLog() // the flags were wrong; what is wrong with the log may be err itself
	}
	a.report(err)
	var coded cli.ExitCoder
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return 1
}

// report tells of an error: one record in the log, and on standard error the place in
// config.json and a hint. With --log FILE, the message goes to standard error as well.
func (a *app) report(err error) {
	text := strings.TrimRight(err.Error(), "\n")
	from, advice := origin(err), a.hint(err)
	var attrs []any
	if a.records.json {
		if from != "" {
			attrs = append(attrs, slog.String("config", from))
		}
		if advice != "" {
			attrs = append(attrs, slog.String("hint", advice))
		}
	}
	a.log.Error(text, attrs...)
	if a.records.file == nil && a.records.json {
		return // nothing but records is on standard error then
	}
	var b strings.Builder
	if a.records.file != nil {
		b.WriteString(text + "\n")
	}
	if from != "" {
		b.WriteString("  config.json " + from + "\n")
	}
	if advice != "" {
		b.WriteString("  hint: " + advice + "\n")
	}
	_, _ = a.records.stderr.Write([]byte(printable(b.String())))
}

// origin is the property of config.json that asked for the step that failed.
func origin(err error) string {
	var step *runtime.StepError
	if errors.As(err, &step) && strings.HasPrefix(step.From, "/") {
		return step.From
	}
	return ""
}

// started puts the words before an error that tell callers how far a container came.
func started(err error) error {
	var step *runtime.StepError
	var problems spec.Problems
	switch {
	case errors.As(err, &problems):
		return err
	case !errors.As(err, &step):
		return err
	case step.Where == "host":
		return fmt.Errorf("unable to start container process: %w", err)
	}
	return fmt.Errorf("unable to start container process: error during container init: %w", err)
}
