package early

import (
	"slices"
	"strings"
	"testing"
)

func TestBundles(t *testing.T) {
	for line, want := range map[string]string{
		"ocirt create --bundle /b id":                                 "/b",
		"ocirt create --bundle=/b id":                                 "/b",
		"ocirt run -b /b id":                                          "/b",
		"ocirt --root /r --log=/l run --pid-file /p --bundle /b id":   "/b",
		"ocirt --systemd-cgroup --root /r create -b /a --bundle /b x": "/b",
		"ocirt --debug run /b id":                                     "/b .",
		"ocirt run id":                                                "id .",
		"ocirt run -d id":                                             "",
		"ocirt run":                                                   "",
		"ocirt run --bundle":                                          "",
		"ocirt run --bundle /b --preserve-fds 1 id":                   "",
		"ocirt run --preserve-fds=1 --bundle /b id":                   "",
		"ocirt start --bundle /b":                                     "",
		"ocirt exec id run --bundle /b":                               "",
		"ocirt --root run state --bundle /b":                          "",
		"ocirt --root":                                                "",
		"ocirt":                                                       "",
		"":                                                            "",
	} {
		if got := bundles(strings.Fields(line)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: %q", line, got)
		}
	}
}
