package spec

// openNonblock is O_NONBLOCK, which has this value on all architectures that
// Go supports on Linux but MIPS. Package syscall, which has the name, is not
// for this package.
const openNonblock = 0x800
