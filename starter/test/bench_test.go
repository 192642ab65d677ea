package test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkFromTheOrderToTheCommand measures what a claim costs in the pod, from the server's having the order to what
// the command says first, and what the two processes take of memory before it. Run it with
// `go test ./test -run '^$' -bench . -benchtime 50x`.
func BenchmarkFromTheOrderToTheCommand(b *testing.B) {
	took := []time.Duration{}
	var memory string
	for range b.N {
		b.StopTimer()
		p := newPod(b)
		place := listen(b, "127.0.0.1:0").Addr().String()
		feed, agent := p.feed(), p.wait(nil)
		p.told("warm", func(a asked) bool { return a.Inside != nil && a.Inside.Closed })
		eventually(b, "it waits", func() bool { return listens(agent) })
		memory = fmt.Sprintf("feed %s; wait %s", resident(b, feed), resident(b, agent))
		wanted := orders{order("1", "u-1", "")}.with("wayOut", "http://"+place)
		wanted["command"] = []string{"echo", "run"}
		b.StartTimer()
		begun := time.Now()
		p.server.give(wanted)
		agent.code(b)
		took = append(took, time.Since(begun))
		b.StopTimer()
		feed.kill()
	}
	slices.Sort(took)
	b.ReportMetric(milliseconds(took[len(took)/2]), "p50-ms")
	b.ReportMetric(milliseconds(took[len(took)*99/100]), "p99-ms")
	b.Log(memory)
	for _, program := range []string{starter, waiter} {
		found, err := os.Stat(program)
		fatal(b, err)
		b.Logf("%s: %d KiB", found.Name(), found.Size()/1024)
	}
}

func milliseconds(length time.Duration) float64 { return float64(length.Microseconds()) / 1000 }

// resident returns what the kernel says of a process's memory.
func resident(b *testing.B, process *process) string {
	b.Helper()
	result := []string{}
	for line := range strings.Lines(read(b, fmt.Sprintf("/proc/%d/status", process.command.Process.Pid))) {
		name, value, _ := strings.Cut(line, ":")
		if name == "VmRSS" || name == "RssAnon" {
			result = append(result, name+" "+strings.TrimSpace(value))
		}
	}
	return strings.Join(result, ", ")
}
