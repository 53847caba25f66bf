#include "textflag.h"

// The kernel calls it on a thread's stack for signals, with the number in R0, and all other
// signals blocked. It writes the number, and returns to the kernel's own code in the vDSO.
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0
	SUB $16, RSP
	MOVW R0, (RSP)
	MOVW ·writeTo(SB), R0
	MOVD RSP, R1
	MOVD $4, R2
	MOVD $64, R8 // write
	SVC
	ADD $16, RSP
	RET

// func addresses() (handle, restore uintptr)
TEXT ·addresses(SB), NOSPLIT, $0-16
	MOVD $·handler(SB), R0
	MOVD R0, handle+0(FP)
	MOVD ZR, restore+8(FP)
	RET
