// Package house holds the tests of the house rules: who may import whom, how long files
// and functions may be, how errors begin. It tests the source, not the program.
package house
