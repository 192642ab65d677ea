package inside

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"
)

// listener returns a place that takes connections, until it is closed.
func listener(t *testing.T) net.Listener {
	t.Helper()
	result, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { result.Close() })
	return result
}

// silence returns a place that answers nobody: its queue is full, so the kernel drops what asks for a connection, as a
// network plug-in may.
func silence(t *testing.T) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(socket) })
	if err := syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(socket, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(socket)
	if err != nil {
		t.Fatal(err)
	}
	place := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}).String()
	for range 8 {
		connection, err := net.DialTimeout("tcp", place, 50*time.Millisecond)
		if err != nil {
			return place
		}
		t.Cleanup(func() { connection.Close() })
	}
	t.Fatal("the queue does not fill")
	return ""
}

func TestWhatTakesConnectionsIsOpenAndWhatRefusesOrKeepsSilentIsClosed(t *testing.T) {
	open, shut := listener(t), listener(t)
	shut.Close()
	for place, wanted := range map[string]finding{
		open.Addr().String(): opened,
		shut.Addr().String(): closed,
		silence(t):           closed,
		"256.256.256.256:1":  unknown, // no address: it says nothing of the network
		"127.0.0.1:notaport": unknown,
	} {
		begun := time.Now()
		found := connect(t.Context(), place, silent)

		if took := time.Since(begun); found != wanted || took > silent+time.Second {
			t.Errorf("%s: %d after %s", place, found, took)
		}
	}
}

func TestAnAddressOfIPv6NeedsNoBrackets(t *testing.T) {
	on6, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("there is no IPv6 here")
	}
	defer on6.Close()
	_, port, _ := net.SplitHostPort(on6.Addr().String())

	if found := connect(t.Context(), "::1:"+port, silent); found != opened {
		t.Errorf("found %d", found)
	}
}

// looking returns a look that runs until the test ends, and hears of looks.
func looking(t *testing.T, canary string) (*Look, <-chan struct{}) {
	t.Helper()
	looked := make(chan struct{}, 1000)
	look := NewLook(canary, func() { looked <- struct{}{} })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		look.Run(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return look, looked
}

func until(t *testing.T, looked <-chan struct{}, is func() bool) {
	t.Helper()
	for end := time.After(5 * time.Second); !is(); {
		select {
		case <-looked:
		case <-end:
			t.Fatal("not within five seconds")
		}
	}
}

func TestNothingIsFoundBeforeItHasLookedAndNothingIsInForce(t *testing.T) {
	look := NewLook("127.0.0.1:1", func() {})

	if look.Finding() != nil || look.IsInForce() {
		t.Errorf("found %+v", look.Finding())
	}
}

func TestAWayOutIsInForceOnceItAnswersAndAnotherOneNotBefore(t *testing.T) {
	first, canary := listener(t), listener(t)
	canary.Close()
	look, looked := looking(t, canary.Addr().String())
	until(t, looked, look.IsInForce)

	look.Watch(first.Addr().String())
	if look.IsInForce() {
		t.Error("in force before it was looked at")
	}
	until(t, looked, look.IsInForce)
	look.Watch(canary.Addr().String())

	until(t, looked, func() bool { return !look.IsInForce() && look.Finding() != nil && !*look.Finding().WayOut })
}

func TestAWayOutThatOpensLateIsFoundSoonThoughPacketsWereDropped(t *testing.T) {
	place := silence(t)
	look, _ := looking(t, "")
	begun := time.Now()
	look.Watch(place)

	for look.tries() < 3 { // they take 25, 50 and 100 ms, with 20, 40 between them
		if time.Since(begun) > 2*time.Second {
			t.Fatalf("%d tries after %s", look.tries(), time.Since(begun))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// tries returns how often the way out has not answered.
func (l *Look) tries() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.missed - sure
}
