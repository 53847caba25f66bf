package seccomp

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// How long it takes the first time, in a process that has done nothing else.
const coldVariable = "OCIRT_SECCOMP_COLD"

func TestMain(m *testing.M) {
	if name := os.Getenv(coldVariable); name != "" {
		os.Exit(cold(name))
	}
	os.Exit(m.Run())
}

func cold(name string) int {
	p := profile(new(testing.B), name)
	m, _ := machineOf("SCMP_ARCH_X86_64")
	start := time.Now()
	code, err := compiled(p, &m)
	took := time.Since(start)
	if err != nil || len(code) == 0 {
		return 1
	}
	os.Stdout.WriteString(strconv.FormatInt(took.Nanoseconds(), 10))
	return 0
}

func BenchmarkCompileCold(b *testing.B) {
	var sum float64
	for range b.N {
		c := exec.Command("/proc/self/exe")
		c.Env = append(os.Environ(), coldVariable+"=docker")
		out, err := c.Output()
		if err != nil {
			b.Fatal(err)
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += n
	}
	b.ReportMetric(sum/float64(b.N), "ns/cold")
}

func BenchmarkCompile(b *testing.B) {
	p, m := profile(b, "docker"), machineFor(b, "amd64")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := compiled(p, m); err != nil {
			b.Fatal(err)
		}
	}
}

// How many instructions the kernel runs for a call that the profile allows: what each
// call of the container costs where the kernel cannot decide once and for all.
func BenchmarkInstructionsPerCall(b *testing.B) {
	m := machineFor(b, "amd64")
	code, err := compiled(profile(b, "docker"), m)
	if err != nil {
		b.Fatal(err)
	}
	var sum, count int
	for b.Loop() {
		sum, count = 0, 0
		for n := range uint32(335) {
			d := data{number: n, arch: m.abis[0].audit}
			_, steps := run(code, d.bytes(false), false)
			sum, count = sum+steps, count+1
		}
	}
	b.ReportMetric(float64(sum)/float64(count), "instructions/call")
}
