package main

import (
	"fmt"
	"os"
	goruntime "runtime"
	"runtime/debug"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// What this program is. The linker sets them (-X main.version=...), nothing else does.
var (
	version = "0.1.0"
	commit  = ""
)

// printVersion answers --version. Engines take the line that contains the word "version"
// for name and number, so there is exactly one.
func (a *app) printVersion() {
	fmt.Fprintf(os.Stdout, "%s version %s\ncommit: %s\nspec: %s\ngo: %s\n", a.name, version, revision(), specs.Version, goruntime.Version())
}

// revision is the commit this program was built from.
func revision() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	rev, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if rev == "" {
		return "unknown"
	}
	return rev + dirty
}

func rootDescription(name string) string {
	return name + ` runs containers from bundles: directories with a file config.json
and a root file system, as the Open Container Initiative defines them.

    ` + name + ` spec                       write a config.json to start from
    ` + name + ` validate BUNDLE            say everything that is wrong with it
    ` + name + ` explain --bundle BUNDLE    say what would be done
    ` + name + ` run BUNDLE                 run it`
}
