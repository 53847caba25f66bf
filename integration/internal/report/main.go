// Command report reads the output of `go test -json` and prints what a person wants of it:
// see package results.
package main

import (
	"fmt"
	"os"

	"github.com/ocirt/ocirt/integration/internal/results"
)

func main() {
	r := results.New(os.Stdout)
	if err := r.Read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "report: cannot read the results:", err)
		os.Exit(1)
	}
	r.Print()
}
