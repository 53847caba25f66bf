package sigpipe

const restorerFlag = 0x04000000 // SA_RESTORER

func restorer() //nolint:unused // by addresses
