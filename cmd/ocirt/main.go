// Command ocirt makes and runs containers from OCI bundles. Engines call it as they call
// runc; people type `ocirt run BUNDLE`.
//
// What belongs here: flags, texts, exit codes, log records, the terminal of a foreground
// container. What does not: anything a program that imports the library would miss; then
// the library gets it.
//
// The number of processors that a cgroup grants does not matter to a program that lives for
// milliseconds, and finding it out would open four files at every start.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import (
	"os"

	"github.com/ocirt/ocirt/runtime"
)

func main() {
	runtime.Init() // does not return if this process is a builder
	os.Exit(run(os.Args))
}

// run is the whole program: it returns the exit code.
func run(args []string) int {
	a := newApp(args)
	return a.end(a.dispatch(args))
}
