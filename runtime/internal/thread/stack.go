package thread

// GrowStack gives the calling goroutine a stack that suffices for what most of them do here.
// A stack that grows in its depth is copied each time, and every frame of it looked up: four
// times over, that is a third of a millisecond of a container's start.
//
//go:noinline
func GrowStack() { frame(false) }

//go:noinline
func frame(use bool) {
	if use { // never: the size of this frame is all that is wanted, not its pages
		var space [48 << 10]byte
		keep(&space)
	}
}

//go:noinline
func keep(b *[48 << 10]byte) { b[0]++ }
