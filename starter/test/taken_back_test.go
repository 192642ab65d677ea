package test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// longerThanALook is more than passes between two looks at a way out that does not answer.
const longerThanALook = 1500 * time.Millisecond

// held returns a pod that has an order, and does not carry it out: nothing answers at that way out.
func held(t *testing.T) (p *pod, feed *process, wanted object, place string) {
	t.Helper()
	p, place = newPod(t), nobody(t)
	feed = p.feed()
	wanted = orders{order("1", "u-1", "true")}.with("wayOut", "http://"+place)
	p.server.give(wanted)
	p.told("that there is no way out", func(a asked) bool {
		return a.Version == "1" && a.Inside != nil && a.Inside.WayOut != nil && !*a.Inside.WayOut
	})
	return p, feed, wanted, place
}

func TestAnOrderThatIsTakenBackIsNotCarriedOutBeforeItComesAgain(t *testing.T) {
	for name, takeBack := range map[string]func(*server){
		"there is none any more":          func(s *server) { s.order = none },
		"the pod is in view no more":      func(s *server) { s.status = http.StatusServiceUnavailable },
		"the pod's token is refused":      func(s *server) { s.token = "token-2"; s.status = http.StatusUnauthorized },
		"the server has too much to do":   func(s *server) { s.status = http.StatusTooManyRequests },
		"the server cannot say, just now": func(s *server) { s.status = http.StatusInternalServerError },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, feed, wanted, place := held(t)

			p.server.set(func() { takeBack(p.server) })
			eventually(t, "it is dropped", func() bool { return strings.Contains(feed.output(), "order.taken_back") })
			listen(t, place)
			time.Sleep(longerThanALook)

			if p.isStarted("u-1") {
				t.Fatal("it was handed over although it was taken back")
			}
			p.server.set(func() { p.server.status, p.server.order = 0, wanted })
			put(t, at(p.root, "token"), []byte(p.server.token+"\n"))
			p.told("started", func(a asked) bool { return a.Started && a.AgentUID == "u-1" && a.Version == "1" })
		})
	}
}

func TestAnOrderThatIsTakenBackFromAnOpenPodIsNotCarriedOutOnceItIsClosed(t *testing.T) {
	p := newPod(t)
	open := listen(t, p.canary)
	p.feed()
	p.server.give(order("1", "u-1", "true"))
	p.told("that it is open", func(a asked) bool { return a.Version == "1" && a.Inside != nil && !a.Inside.Closed })
	p.server.give(none)
	p.told("that it has none", func(a asked) bool { return a.Version == "none" })

	open.Close()

	p.told("that it is closed", func(a asked) bool { return a.Inside.Closed })
	if p.last().Started || p.isStarted("u-1") {
		t.Error("it was handed over although it was taken back")
	}
}

func TestWhoseOrderWasTakenBackIsAsWarmAsBeforeAndAsksNoMoreThanThat(t *testing.T) {
	p, _, _, _ := held(t)

	p.server.give(none)

	p.told("that it has none", func(a asked) bool {
		return a.Version == "none" && a.Refused == "" && a.AgentUID == "" && !a.Started && a.Inside.WayOut == nil
	})
	before := len(p.server.seen())
	time.Sleep(300 * time.Millisecond)
	if polls := len(p.server.seen()) - before; polls > 1 {
		t.Errorf("%d polls", polls)
	}
}

func TestOfWhatHasStartedNothingIsTakenBack(t *testing.T) {
	p := newPod(t)
	feed := p.feed()
	p.server.give(order("1", "u-1", "true"))
	p.told("started", func(a asked) bool { return a.Started })

	p.server.give(none)

	p.told("that it goes on", func(a asked) bool {
		return a.Version == "none" && a.Started && a.AgentUID == "u-1" && a.Refused == ""
	})
	p.server.give(orders{order("2", "u-1", "true")}.with("resolvConf", "nameserver 10.0.0.2\n"))
	p.told("the second", func(a asked) bool { return a.Version == "2" && a.Started && a.Refused == "" })
	if found := read(t, at(p.shared, "resolv.conf")); found != "nameserver 10.0.0.2\n" || !p.isStarted("u-1") {
		t.Errorf("resolv.conf is %q", found)
	}
	if strings.Contains(feed.output(), "order.taken_back") {
		t.Error(feed.output())
	}
}

func TestAServerOfBeforeThatHasNothingToSayTakesNothingBack(t *testing.T) {
	p, _, _, place := held(t)
	p.server.set(func() { p.server.status = http.StatusNoContent })
	asked := len(p.server.seen())
	eventually(t, "three polls", func() bool { return len(p.server.seen()) >= asked+3 })

	listen(t, place)

	eventually(t, "a start", func() bool { return p.isStarted("u-1") })
}
