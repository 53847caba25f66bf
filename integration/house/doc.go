// Package house holds the tests of the house rules: who may import whom, how long files
// and functions may be, how errors begin, that packages and skipped tests say what they are
// about. It tests the source, not the program.
package house
