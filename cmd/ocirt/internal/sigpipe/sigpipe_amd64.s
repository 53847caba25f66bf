#include "textflag.h"

// The kernel calls it on a thread's stack for signals, with the number in DI, and all other
// signals blocked. It writes the number, and returns to the restorer.
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0
	SUBQ $24, SP
	MOVL DI, (SP)
	MOVL ·writeTo(SB), DI
	MOVQ SP, SI
	MOVQ $4, DX
	MOVQ $1, AX // write
	SYSCALL
	ADDQ $24, SP
	RET

TEXT ·restorer(SB), NOSPLIT|NOFRAME, $0
	MOVQ $15, AX // rt_sigreturn
	SYSCALL
	INT $3

// func addresses() (handle, restore uintptr)
TEXT ·addresses(SB), NOSPLIT, $0-16
	LEAQ ·handler(SB), AX
	MOVQ AX, handle+0(FP)
	LEAQ ·restorer(SB), AX
	MOVQ AX, restore+8(FP)
	RET
