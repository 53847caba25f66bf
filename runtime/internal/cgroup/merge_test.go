package cgroup

import (
	"encoding/json"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func parse(t *testing.T, text string) *specs.LinuxResources {
	t.Helper()
	if text == "" {
		return nil
	}
	r := new(specs.LinuxResources)
	if err := json.Unmarshal([]byte(text), r); err != nil {
		t.Fatal(text, err)
	}
	return r
}

func TestMerge(t *testing.T) {
	for _, c := range []struct{ old, change, want string }{
		{"", "", `{}`},
		{`{"pids":{"limit":5}}`, "", `{"pids":{"limit":5}}`},
		{"", `{"pids":{"limit":0}}`, `{"pids":{"limit":0}}`},
		{`{"pids":{"limit":5}}`, `{"pids":{}}`, `{"pids":{"limit":5}}`},
		{
			`{"memory":{"limit":1,"swap":2,"reservation":3,"swappiness":4,"disableOOMKiller":true}}`,
			`{"memory":{"limit":0,"swap":9,"reservation":0,"swappiness":0,"disableOOMKiller":false}}`,
			`{"memory":{"limit":1,"reservation":3,"swap":9,"swappiness":0,"disableOOMKiller":false}}`,
		},
		{`{"memory":{"limit":1,"swap":2}}`, `{"memory":{"limit":-1}}`, `{"memory":{"limit":-1,"swap":-1}}`},
		{`{"memory":{"limit":1}}`, `{"memory":{"limit":-1}}`, `{"memory":{"limit":-1}}`},
		{
			`{"cpu":{"shares":1024,"quota":5000,"period":10000,"cpus":"0-1","mems":"0","burst":7}}`,
			`{"cpu":{"quota":-1,"shares":0,"cpus":"","idle":1}}`,
			`{"cpu":{"shares":1024,"quota":-1,"burst":7,"period":10000,"cpus":"0-1","mems":"0","idle":1}}`,
		},
		{
			`{"blockIO":{"weight":10,"weightDevice":[{"major":8,"minor":0,"weight":20}],"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}]}}`,
			`{"blockIO":{"weightDevice":[{"major":8,"minor":0,"leafWeight":30},{"major":8,"minor":16,"weight":40}],"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":0}]}}`,
			`{"blockIO":{"weight":10,"weightDevice":[{"major":8,"minor":0,"weight":20,"leafWeight":30},{"major":8,"minor":16,"weight":40}],"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":0}]}}`,
		},
		{
			`{"hugepageLimits":[{"pageSize":"2MB","limit":1}]}`, `{"hugepageLimits":[{"pageSize":"1GB","limit":2},{"pageSize":"2MB","limit":3}]}`,
			`{"hugepageLimits":[{"pageSize":"2MB","limit":3},{"pageSize":"1GB","limit":2}]}`,
		},
		{
			`{"network":{"classID":1,"priorities":[{"name":"lo","priority":1}]}}`, `{"network":{"priorities":[{"name":"eth0","priority":2},{"name":"lo","priority":3}]}}`,
			`{"network":{"classID":1,"priorities":[{"name":"lo","priority":3},{"name":"eth0","priority":2}]}}`,
		},
		{
			`{"rdma":{"a":{"hcaHandles":1,"hcaObjects":2}}}`, `{"rdma":{"a":{"hcaObjects":3},"b":{"hcaHandles":4}}}`,
			`{"rdma":{"a":{"hcaHandles":1,"hcaObjects":3},"b":{"hcaHandles":4}}}`,
		},
		{
			`{"unified":{"memory.high":"1","memory.max":"5","pids.max":"7"}}`, `{"unified":{"memory.low":"2"},"memory":{"limit":6}}`,
			`{"memory":{"limit":6},"unified":{"memory.high":"1","memory.low":"2","pids.max":"7"}}`,
		},
		{
			`{"devices":[{"allow":false,"access":"rwm"}]}`, `{"devices":[]}`,
			`{"devices":[{"allow":false,"access":"rwm"}]}`,
		},
		{
			`{"devices":[{"allow":false,"access":"rwm"}]}`, `{"devices":[{"allow":true,"type":"c","access":"r"}]}`,
			`{"devices":[{"allow":true,"type":"c","access":"r"}]}`,
		},
	} {
		old, change := parse(t, c.old), parse(t, c.change)
		merged, err := json.Marshal(Merge(old, change))
		if err != nil || string(merged) != c.want {
			t.Errorf("%s with %s: %v\n%s\nwant\n%s", c.old, c.change, err, merged, c.want)
		}
		// Neither is changed, now or by a further merge.
		Merge(Merge(old, change), parse(t, `{"memory":{"limit":77},"cpu":{"cpus":"7"},"pids":{"limit":77},"blockIO":{"weight":77},
			"network":{"classID":77},"unified":{"x.y":"7"},"rdma":{"a":{"hcaHandles":77}},"hugepageLimits":[{"pageSize":"2MB","limit":77}]}`))
		again, _ := json.Marshal(Merge(parse(t, c.old), parse(t, c.change)))
		if text, _ := json.Marshal(Merge(old, change)); string(text) != string(again) {
			t.Errorf("%s with %s is changed: %s", c.old, c.change, text)
		}
	}
}
