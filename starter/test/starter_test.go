package test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAWarmPodBecomesWhatTheOrderSaysAndTellsIt(t *testing.T) {
	p := newPod(t)
	feed, file := p.feed(), at(p.root, "etc/app/config")
	agent := p.wait(func(c *exec.Cmd) { c.Env = []string{"PATH=/usr/bin:/bin", "A=own", "B=own"} })
	p.told("warm", func(a asked) bool { return a.Inside != nil && a.Inside.Closed && !a.Started && a.AgentUID == "" })
	eventually(t, "it waits", func() bool { return listens(agent) })

	wanted := order("1", "u-1", "")
	wanted["command"] = []string{"sh", "-c", `echo "$0 $1 $A $B $(pwd)"; cat "$1"; exit 42`}
	wanted["args"] = []string{"zero", "$(FILE)"}
	wanted["workingDir"] = at(p.root, "made")
	wanted["env"] = []object{{"name": "B", "value": "order"}, {"name": "FILE", "value": file}}
	wanted["files"] = []object{{"path": file, "mode": 0o440, "content": []byte("hello\n")}}
	begun := time.Now()
	p.server.give(wanted)

	if code := agent.code(t); code != 42 {
		t.Errorf("it ended with %d, having said %q", code, agent.output())
	}
	if said := agent.output(); said != fmt.Sprintf("zero %s own order %s/made\nhello\n", file, p.root) {
		t.Errorf("it said %q", said)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("it took %s: nobody has rung", took)
	}
	p.told("started", func(a asked) bool { return a.Started && a.AgentUID == "u-1" && a.Version == "1" && a.Refused == "" })
	for _, value := range []string{`"order"`, "hello", "zero", "token-1"} {
		if strings.Contains(feed.output(), value) {
			t.Errorf("%s is in the log: %s", value, feed.output())
		}
	}
}

func TestAContainerThatIsRestartedRunsTheSameCommand(t *testing.T) {
	p := newPod(t)
	p.feed()
	p.server.give(order("1", "u-1", "echo run"))
	first := p.wait(nil)
	first.code(t)
	second := p.wait(nil)

	second.code(t)

	if first.output() != "run\n" || second.output() != "run\n" {
		t.Errorf("%q, then %q", first.output(), second.output())
	}
}

func TestNothingIsHandedOverWhileThePodIsOpen(t *testing.T) {
	p := newPod(t)
	open := listen(t, p.canary)
	p.feed()
	p.server.give(order("1", "u-1", "true"))
	p.told("that it is open", func(a asked) bool { return a.Version == "1" && a.Inside != nil && !a.Inside.Closed })
	time.Sleep(300 * time.Millisecond) // a dozen looks
	if p.isStarted("u-1") {
		t.Fatal("it was handed over with the canary in reach")
	}

	open.Close()

	p.told("started", func(a asked) bool { return a.Started && a.Inside.Closed })
}

func TestNothingIsHandedOverBeforeTheWayOutAnswers(t *testing.T) {
	p := newPod(t)
	p.feed()
	place := nobody(t)
	p.server.give(orders{order("1", "u-1", "true")}.with("wayOut", "http://"+place))
	p.told("that there is no way out", func(a asked) bool {
		return a.Version == "1" && a.Inside != nil && a.Inside.WayOut != nil && !*a.Inside.WayOut
	})
	if p.isStarted("u-1") {
		t.Fatal("it was handed over without a way out")
	}

	listen(t, place)

	p.told("started", func(a asked) bool { return a.Started && *a.Inside.WayOut })
}

func TestAnotherResolvConfIsWrittenInPlaceAndNothingElseHappens(t *testing.T) {
	p := newPod(t)
	p.feed()
	if found := read(t, at(p.shared, "resolv.conf")); found != "nameserver 127.0.0.1\n" {
		t.Errorf("warm: %q", found)
	}
	mounted, err := os.Open(at(p.shared, "resolv.conf"))
	fatal(t, err)
	defer mounted.Close()
	runs := at(p.root, "runs")
	p.server.give(order("1", "u-1", "echo run >> "+runs+"; exec sleep 60"))
	p.wait(nil)
	eventually(t, "a run", func() bool { return read(t, runs) != "" })
	before := read(t, at(p.shared, "start.json"))

	p.server.give(orders{order("2", "u-1", "echo other >> "+runs)}.with("resolvConf", "nameserver 10.0.0.2\n"))

	p.told("the second", func(a asked) bool { return a.Version == "2" && a.Started && a.Refused == "" })
	content := make([]byte, 100)
	length, _ := mounted.ReadAt(content, 0)
	if string(content[:length]) != "nameserver 10.0.0.2\n" {
		t.Errorf("where it is mounted it is %q", content[:length])
	}
	if read(t, runs) != "run\n" || read(t, at(p.shared, "start.json")) != before {
		t.Errorf("runs %q, start %q", read(t, runs), read(t, at(p.shared, "start.json")))
	}
}

func TestAnOrderForAnotherAgentIsRefusedToldAndChangesNothing(t *testing.T) {
	p := newPod(t)
	first := p.feed()
	p.server.give(order("1", "u-1", "true"))
	p.told("started", func(a asked) bool { return a.Started })
	other := orders{order("2", "u-2", "true")}.with("resolvConf", "nameserver 10.0.0.2\n")

	for range 2 { // by who has handed over, and by who comes after it
		p.server.give(other)

		p.told("the refusal", func(a asked) bool {
			return a.Version == "2" && strings.Contains(a.Refused, "u-1") && a.Started && a.AgentUID == "u-1"
		})
		if !p.isStarted("u-1") || read(t, at(p.shared, "resolv.conf")) != "nameserver 10.0.0.1\n" {
			t.Error("something has changed")
		}
		first.kill()
		p.server.set(func() { p.server.polls = nil })
		p.feed()
	}

	p.server.give(order("3", "u-1", "true"))
	p.told("no refusal any more", func(a asked) bool { return a.Version == "3" && a.Refused == "" })
}

func TestAMalformedOrderIsToldByItsFieldAndNotAskedForAgain(t *testing.T) {
	p := newPod(t)
	feed := p.feed()
	p.server.give(orders{order("1", "u-1", "true")}.with("env", []object{{"name": "A", "value": "hunter2\x00"}}))

	p.told("the refusal", func(a asked) bool { return a.Version == "1" && strings.Contains(a.Refused, "env[0]") })

	time.Sleep(200 * time.Millisecond)
	if polls := len(p.server.seen()); polls > 6 {
		t.Errorf("%d polls", polls)
	}
	if strings.Contains(feed.output()+p.last().Refused, "hunter2") {
		t.Errorf("the value was told: %s", feed.output())
	}
}

// killed runs the feeder again and again, each time killed a `step` later than before, with the orders of `give`.
func killed(t *testing.T, p *pod, rounds int, step time.Duration, give func(round int)) {
	t.Helper()
	for round := range rounds {
		give(round)
		feed := p.feedBy(p.server)
		time.Sleep(time.Duration(round%40) * step)
		feed.kill()
		checkShared(t, p)
	}
}

// checkShared fails unless everything in the shared directory is whole.
func checkShared(t *testing.T, p *pod) {
	t.Helper()
	content := read(t, at(p.shared, "start.json"))
	if content != "" && !json.Valid([]byte(content)) {
		t.Fatalf("start.json is %q", content)
	}
	if resolve := read(t, at(p.shared, "resolv.conf")); resolve != "" && !strings.HasPrefix(resolve, "nameserver ") {
		t.Fatalf("resolv.conf is %q", resolve)
	}
	if program := read(t, at(p.shared, "starter")); program != "" && program != read(t, waiter) {
		t.Fatal("the program is half of one")
	}
}

func TestAFeederThatIsKilledAtAnyMomentGoesOnAndStartsTheCommandOnce(t *testing.T) {
	for pass := range 3 {
		p := newPod(t)
		runs := at(p.root, "runs")
		p.feed().kill()
		p.wait(nil)
		killed(t, p, 60, 600*time.Microsecond, func(int) {
			p.server.give(order("1", "u-1", "echo run >> "+runs+"; exec sleep 60"))
		})

		p.feed()

		p.told("started", func(a asked) bool { return a.Started && a.AgentUID == "u-1" })
		eventually(t, "a run", func() bool { return read(t, runs) != "" })
		if found := read(t, runs); found != "run\n" {
			t.Errorf("pass %d: runs: %q", pass, found)
		}
		if left, _ := filepath.Glob(at(p.shared, ".new-*")); len(left) > 0 {
			t.Errorf("pass %d: left over: %v", pass, left)
		}
	}
}

func TestWhatTheAgentRunsIsWholeOrNotThereWheneverTheFeederIsKilled(t *testing.T) {
	p := newPod(t)
	for round := range 100 {
		if err := os.Remove(at(p.shared, "starter")); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		feed := p.feedBy(p.server)
		time.Sleep(time.Duration(round) * 150 * time.Microsecond)
		feed.kill()
		checkShared(t, p)
	}

	p.feed()

	if read(t, at(p.shared, "starter")) != read(t, waiter) {
		t.Error("the program is not there in the end")
	}
}

func TestWhateverTheOrdersAndWhoeverIsKilledAPodHasOneAgent(t *testing.T) {
	// Large, so that whoever is killed may well be at it.
	large := []object{{"path": "/large", "content": make([]byte, 2<<20)}}
	for range 3 {
		p := newPod(t)
		uids, done := map[string]bool{}, make(chan struct{})
		finished := make(chan struct{})
		go func() { // whoever reads at any moment reads the whole of one
			defer close(finished)
			for {
				start := struct{ Agent struct{ UID string } }{}
				content, err := os.ReadFile(at(p.shared, "start.json"))
				if err == nil {
					if json.Unmarshal(content, &start) != nil {
						t.Errorf("read %q", content)
						return
					}
					uids[start.Agent.UID] = true
				}
				select {
				case <-done:
					return
				case <-time.After(100 * time.Microsecond):
				}
			}
		}()

		killed(t, p, 60, 2*time.Millisecond, func(round int) {
			wanted := order(fmt.Sprint(round), fmt.Sprintf("u-%d", round), "true")
			p.server.give(orders{wanted}.with("files", large))
		})

		p.feed()
		eventually(t, "an agent", func() bool { return p.last().Started })
		close(done)
		<-finished
		if len(uids) != 1 || !uids[p.last().AgentUID] {
			t.Errorf("agents of the pod: %v, told %s", uids, p.last().AgentUID)
		}
	}
}

func TestOfTwoFeedersWithOtherOrdersOneStartsAndTheOtherIsRefused(t *testing.T) {
	for range 10 {
		p := newPod(t)
		from := newAuthority(t)
		other := newServer(t, from.issue(t, "ringfence-control"), tls.VersionTLS13)
		put(t, at(p.root, "ca.crt"), append([]byte(read(t, at(p.root, "ca.crt"))), from.pem()...))
		p.server.give(order("1", "u-1", "true"))
		other.give(orders{order("1", "u-2", "true")}.with("resolvConf", "nameserver 10.0.0.2\n"))
		feeders := []*process{p.feedBy(p.server), p.feedBy(other)}
		eventually(t, "a start", func() bool { return read(t, at(p.shared, "start.json")) != "" })
		winner, loser, uid, address := 0, other, "u-1", "10.0.0.1"
		if p.isStarted("u-2") {
			winner, loser, uid, address = 1, p.server, "u-2", "10.0.0.2"
		}

		feeders[winner].kill()

		eventually(t, "the refusal", func() bool {
			polls := loser.seen()
			return len(polls) > 0 && strings.Contains(polls[len(polls)-1].Refused, uid)
		})
		if found := read(t, at(p.shared, "resolv.conf")); !p.isStarted(uid) || found != "nameserver "+address+"\n" {
			t.Errorf("the agent of %s has the resolv.conf %q", uid, found)
		}
	}
}

func TestAServerThatIsAwayIsAskedAgainUntilItIsThere(t *testing.T) {
	p := newPod(t)
	p.server.set(func() { p.server.status = 503 })
	p.feed()
	eventually(t, "three polls", func() bool { return len(p.server.seen()) >= 3 })
	p.server.set(func() { p.server.status, p.server.order = 0, order("1", "u-1", "true") })
	p.server.http.CloseClientConnections()

	p.told("started", func(a asked) bool { return a.Started })
}

func TestATokenThatIsRefusedIsReadAgainAndTriedOnceItIsAnother(t *testing.T) {
	p := newPod(t)
	p.server.set(func() { p.server.token, p.server.order = "token-2", order("1", "u-1", "true") })
	p.feed()
	eventually(t, "a poll", func() bool { return len(p.server.seen()) == 1 })

	put(t, at(p.root, "token"), []byte("token-2\n"))

	p.told("started", func(a asked) bool { return a.Started })
	if polls := len(p.server.seen()); polls > 4 {
		t.Errorf("%d polls", polls)
	}
}

func TestAServerThatIsNotTheControlServerIsToldNothing(t *testing.T) {
	trusted := newAuthority(t)
	for name, each := range map[string]struct {
		certificate tls.Certificate
		version     uint16
	}{
		"another name":      {trusted.issue(t, "other"), tls.VersionTLS13},
		"another authority": {newAuthority(t).issue(t, "ringfence-control"), tls.VersionTLS13},
		"an older TLS":      {trusted.issue(t, "ringfence-control"), tls.VersionTLS12},
	} {
		p := newPod(t)
		put(t, at(p.root, "ca.crt"), trusted.pem())
		impostor := newServer(t, each.certificate, each.version)
		impostor.give(order("1", "u-1", "true"))
		feed := p.feedBy(impostor)
		eventually(t, "a try", func() bool { return strings.Contains(feed.output(), "control.away") })

		if polls := impostor.seen(); len(polls) > 0 || p.isStarted("u-1") {
			t.Errorf("%s: polls %+v", name, polls)
		}
		feed.kill()
	}
}

func TestAFeederThatIsToldToStopEndsWell(t *testing.T) {
	p := newPod(t)
	feed := p.feed()
	p.told("anything", func(a asked) bool { return a.Protocol == 1 && a.WaitSeconds == 20 })

	fatal(t, feed.command.Process.Signal(syscall.SIGTERM))

	if code := feed.code(t); code != 0 {
		t.Errorf("%d: %s", code, feed.output())
	}
}

func TestReadySaysWhatIsMissing(t *testing.T) {
	directory := t.TempDir()

	process := run(t, nil, starter, "ready", "--shared", directory, "--limit", "50ms")

	if code := process.code(t); code != 1 || !strings.Contains(process.output(), "resolv.conf is not there") {
		t.Errorf("%d: %s", code, process.output())
	}
}

func TestWhatTheAgentRunsIsThereForEverybody(t *testing.T) {
	p := newPod(t)
	p.feed()
	p.server.give(order("1", "u-1", "true"))
	p.told("started", func(a asked) bool { return a.Started })

	for name, mode := range map[string]fs.FileMode{
		"starter": 0o555, "resolv.conf": 0o644, "start.json": 0o644, "bell": 0o644, "lock": 0o600,
	} {
		found, err := os.Stat(at(p.shared, name))
		if err != nil || found.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}
