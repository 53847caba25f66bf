package runtime

import (
	"reflect"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestImplied(t *testing.T) {
	cpu := func(idle *int64, shares *uint64) *specs.LinuxResources {
		return &specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: idle, Shares: shares}}
	}
	var zero, one int64 = 0, 1
	var shares, none uint64 = 512, 0
	for name, c := range map[string]struct{ old, change, want *specs.LinuxResources }{
		"a weight ends idleness":           {cpu(&one, nil), cpu(nil, &shares), cpu(&zero, &shares)},
		"no weight does not":               {cpu(&one, nil), cpu(nil, &none), cpu(nil, &none)},
		"unless idleness is asked for":     {cpu(&one, nil), cpu(&one, &shares), cpu(&one, &shares)},
		"a weight of one that is not idle": {cpu(&zero, nil), cpu(nil, &shares), cpu(nil, &shares)},
		"nothing was known":                {&specs.LinuxResources{}, cpu(nil, &shares), cpu(nil, &shares)},
		"nothing is asked":                 {cpu(&one, nil), &specs.LinuxResources{}, &specs.LinuxResources{}},
	} {
		before := *c.change
		if got := implied(c.old, c.change); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got.CPU, c.want.CPU)
		}
		if !reflect.DeepEqual(&before, c.change) {
			t.Errorf("%s: the argument was changed", name)
		}
	}
}

func TestParseInterfaces(t *testing.T) {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    1000      10    0    0    0     0          0         0     1000      10    0    0    0     0       0          0
  eth0:18446744073709551615 7 1 2 3 4 5 6 20 21 22 23 24 25 26 27
 bad0: 1 2 3
  eth1:0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
`
	want := []NetworkInterface{
		{Name: "eth0", RxBytes: 1<<64 - 1, RxPackets: 7, RxErrors: 1, RxDropped: 2, TxBytes: 20, TxPackets: 21, TxErrors: 22, TxDropped: 23},
		{Name: "eth1"},
	}
	if got := parseInterfaces(text); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := parseInterfaces(""); got != nil {
		t.Errorf("got %+v of nothing", got)
	}
}
