package runtime

import (
	"strings"
	"testing"
)

func TestAllowed(t *testing.T) {
	for _, test := range []struct {
		message string
		want    notification
	}{
		{"", notification{}},
		{"READY=1", notification{text: "READY=1", ready: true}},
		{"READY=1\n", notification{text: "READY=1", ready: true}},
		{"STATUS=a=b\nREADY=1", notification{text: "STATUS=a=b\nREADY=1", ready: true}},
		{"READY=11", notification{}},
		{"READY=1\x00", notification{}},
		{"ready=1", notification{}},
		{"STOPPING=1\nWATCHDOG=1\nWATCHDOG=trigger", notification{text: "STOPPING=1\nWATCHDOG=1\nWATCHDOG=trigger"}},
		{"STOPPING=0\nWATCHDOG=2\nWATCHDOG_USEC=1\nRELOADING=0", notification{}},
		{"STATUS=", notification{text: "STATUS="}},
		{"STATUS", notification{}},
		{"STATUS=\u00e4 \u202e\x1b\x00\xff\t", notification{text: "STATUS=\u00e4 ?????"}},
		{"EXTEND_TIMEOUT_USEC=18446744073709551615", notification{text: "EXTEND_TIMEOUT_USEC=18446744073709551615"}},
		{"EXTEND_TIMEOUT_USEC=18446744073709551616\nEXTEND_TIMEOUT_USEC=+1\nEXTEND_TIMEOUT_USEC=", notification{}},
		{"MAINPID=1\nREADY=1", notification{text: "READY=1", ready: true, mainPID: true}},
		{"MAINPID=", notification{mainPID: true}},
		{"FDSTORE=1\nFDNAME=x\nFDSTOREREMOVE=1\nFDPOLL=0\nBARRIER=1\nNOTIFYACCESS=all\nMAINPIDFD=1\nERRNO=1\nBUSERROR=x\nEXIT_STATUS=1\nMONOTONIC_USEC=1", notification{}},
	} {
		if got := allowed([]byte(test.message)); got != test.want {
			t.Errorf("%q: %+v, want %+v", test.message, got, test.want)
		}
	}
	if got := allowed([]byte("MONOTONIC_USEC=7\nRELOADING=1")).text; !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") || strings.HasSuffix(got, "=7") {
		t.Errorf("reloading is %q", got)
	}
}

func FuzzAllowed(f *testing.F) {
	f.Add("STATUS=x\nREADY=1\nFDSTORE=1\nMAINPID=1")
	f.Add("RELOADING=1\nSTATUS=\x1b\xff")
	f.Fuzz(func(t *testing.T, message string) {
		for line := range strings.SplitSeq(allowed([]byte(message)).text, "\n") {
			key, _, _ := strings.Cut(line, "=")
			switch key {
			case "", "READY", "STATUS", "RELOADING", "MONOTONIC_USEC", "STOPPING", "WATCHDOG", "EXTEND_TIMEOUT_USEC":
			default:
				t.Errorf("%q lets %q through", message, line)
			}
			if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%q lets control characters through: %q", message, line)
			}
		}
	})
}
