// Package sigpipe catches signals without a thread that waits for them: the number of each
// is written to a pipe, where it stays until somebody looks.
//
// os/signal costs two changes of thread for every signal, and three threads: more than a
// short container has time for. This package is for the first moments of one; whoever has
// time hands over to os/signal, which takes the signals that it is notified of from here.
package sigpipe

import "errors"

// ErrUnsupported is of a processor that this package knows no handler for.
var ErrUnsupported = errors.New("signals cannot be caught in a pipe on this processor")
