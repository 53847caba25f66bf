#include "textflag.h"

// See walk.go. X8: the call. X9: its control word. X18, X19: scratch. A system call
// leaves all registers but X10 alone. Base addresses are those of image.go: the data
// segment begins at 0x10011000.

#define ARG(n, reg) \
	MOV (8+8*n)(X8), reg \
	AND $(1<<n), X9, X18 \
	BEQ X18, ZERO, 2(PC) \
	MOVW (reg), reg

TEXT ·walk(SB), NOSPLIT|NOFRAME, $0
	MOV $0x10011000, X8
	MOV (X8), X8
loop:
	MOV 56(X8), X9
	ARG(0, X10)
	ARG(1, X11)
	ARG(2, X12)
	ARG(3, X13)
	ARG(4, X14)
	ARG(5, X15)
	MOV 0(X8), X17
	ECALL
	MOV $-4096, X18
	BLTU X18, X10, fail
	MOV 64(X8), X18
	BEQ X18, ZERO, kept
	MOVW X10, (X18)
kept:
	BNE X10, ZERO, next
	MOV 72(X8), X18
	BEQ X18, ZERO, next
	MOV X18, X8
	JMP loop
next:
	ADD $80, X8, X8
	JMP loop
fail:
	SUB X10, ZERO, X10
	AND $64, X9, X18
	BNE X18, ZERO, next
	SRL $16, X9, X18
	SLL $32, X18, X18
	SRL $32, X18, X18 // the four errnos
errno:
	AND $0xff, X18, X19
	BEQ X19, X10, next
	SRL $8, X18, X18
	BNE X18, ZERO, errno
	MOV $0x10011018, X11
	SRL $48, X9, X9
	MOVW X9, 0(X11)
	MOVW X10, 4(X11)
	MOV $0x10011010, X10
	MOVW (X10), X10
	MOV $16, X12
	MOV $0x4000, X13
	MOV $0, X14
	MOV $0, X15
	MOV $206, X17
	ECALL
	MOV $1, X10
	MOV $94, X17
	ECALL
	EBREAK
TEXT ·walkStop(SB), NOSPLIT|NOFRAME, $0
	RET

DATA ·walkStart(SB)/8, $·walk(SB)
GLOBL ·walkStart(SB), RODATA, $8
DATA ·walkEnd(SB)/8, $·walkStop(SB)
GLOBL ·walkEnd(SB), RODATA, $8
