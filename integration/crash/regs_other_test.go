//go:build !amd64

package crash

import "syscall"

// canFail says whether this architecture's calls can be made to fail.
const canFail = false

const archPrctl = -1

func skipCall(int) {}

func setResult(int, syscall.Errno) {}

func callNumber(int) int64 { return -1 }
