// Package packaging holds the tests of what a packager or an administrator does: make
// install and its reverse, the Debian package, man pages and completions in real shells.
//
// What belongs here: what is installed, and that it works there. What does not: whether the
// man pages tell the truth, which a test beside the command line's description looks after.
package packaging
