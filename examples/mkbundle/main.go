// Command mkbundle makes a bundle that is ready to run of an example.
//
//	go run ./examples/mkbundle EXAMPLE DIRECTORY
//
// It copies the example's config.json, builds the static program that is its whole root
// file system, and maps root of the rootless example to the calling user. What belongs
// here: arguments; the work is done by package examples.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/ocirt/ocirt/examples"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintf(os.Stderr, "usage: mkbundle EXAMPLE DIRECTORY\nexamples: %s container rootless\n", strings.Join(examples.Kinds(), " "))
		os.Exit(2)
	}
	o := examples.Options{MapTo: &examples.User{UID: os.Getuid(), GID: os.Getgid()}}
	if err := examples.Make(os.Args[1], os.Args[2], o); err != nil {
		fmt.Fprintln(os.Stderr, "mkbundle:", err)
		os.Exit(1)
	}
}
