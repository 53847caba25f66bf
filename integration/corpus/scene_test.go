package corpus

// A scene makes a row real: what JSON alone cannot say.
type scene struct {
	skip, why string // what the row needs of the host, and why this one does not do

	user    bool         // an ordinary user runs it
	set     func(*stage) // prepares the bundle
	command string       // which is to fail; empty: create
	words   []string     // what is said, instead of the row's message; of accepted rows: warnings
	from    []string     // properties that are named
	fine    bool         // the row's expectation is one of two outcomes, and here it is accepted

	after func(s *stage, id string) // with the created container
	play  func(*stage)              // instead of all that
}

func scenes() map[string]scene { return map[string]scene{} }
