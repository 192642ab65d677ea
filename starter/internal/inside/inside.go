// Package inside looks from inside the pod whether its network is closed, and its way out open, as sidecars do.
//
// The operator knows what it has written. Only the pod knows whether the cluster's network plug-in lets a connection
// through that nothing permits: the canary, the API server.
package inside

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"ringfence.dev/starter/internal/control"
)

const (
	// silent: what has not answered for so long is closed; plug-ins drop packets instead of refusing connections.
	silent = 500 * time.Millisecond
	// first is how soon it looks again while something is not as it should be, longest how late at most, and quiet
	// how often afterwards.
	first, longest, quiet = 20 * time.Millisecond, time.Second, time.Minute
	// impatient is how long the way out may take at first. It is near; a packet of before the rule that lets it
	// through was dropped, and would be sent again after a second.
	impatient = 25 * time.Millisecond
	// sure is after how many looks in a row a way out that has answered is told to be closed: a replica of the gateway
	// may go.
	sure = 3
)

// Look keeps what is found.
type Look struct {
	canary  string
	onLook  func()
	changed chan struct{}

	mutex  sync.Mutex
	closed *bool
	wayOut string
	missed int // looks in a row in which the way out did not answer
}

// NewLook looks at `canary`, host:port, or at none if that is empty. `onLook` is called after each look.
func NewLook(canary string, onLook func()) *Look {
	return &Look{canary: canary, onLook: onLook, changed: make(chan struct{}, 1)}
}

// Run looks until the context ends.
func (l *Look) Run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	if l.canary != "" {
		group.Go(func() { follow(ctx, nil, l.lookForCanary) })
	}
	group.Go(func() { follow(ctx, l.changed, l.lookForWayOut) })
}

// Watch makes `place`, host:port, the way out, or none if it is empty. It has not answered until it has been looked at.
func (l *Look) Watch(place string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if place == l.wayOut {
		return
	}
	l.wayOut, l.missed = place, sure
	select {
	case l.changed <- struct{}{}:
	default: // it will look anyway
	}
}

// Finding returns what was found, nil as long as nothing was.
func (l *Look) Finding() *control.Inside {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.closed == nil {
		return nil
	}
	result := &control.Inside{Closed: *l.closed}
	if l.wayOut != "" {
		answers := l.missed < sure
		result.WayOut = &answers
	}
	return result
}

// IsInForce reports whether the canary was refused, and the way out answered when it was looked at last.
func (l *Look) IsInForce() bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	isClosed := l.canary == "" || l.closed != nil && *l.closed
	return isClosed && (l.wayOut == "" || l.missed == 0)
}

func (l *Look) lookForCanary(ctx context.Context, _ int) bool {
	found := connect(ctx, l.canary, silent)
	if ctx.Err() != nil || found == unknown {
		return false
	}
	isClosed := found == closed
	l.find(func() { l.closed = &isClosed })
	return isClosed
}

func (l *Look) lookForWayOut(ctx context.Context, tries int) bool {
	l.mutex.Lock()
	place := l.wayOut
	l.mutex.Unlock()
	if place == "" {
		return true
	}
	answers := connect(ctx, place, min(silent, impatient<<min(tries, 8))) == opened
	l.find(func() {
		switch {
		case place != l.wayOut: // another one meanwhile
		case answers:
			l.missed = 0
		default:
			l.missed++
		}
	})
	return answers
}

// find changes something of the findings, and tells that somebody has looked.
func (l *Look) find(change func()) {
	l.mutex.Lock()
	change()
	l.mutex.Unlock()
	l.onLook()
}

// follow looks, seldom as long as all is well; `atOnce` makes it look now.
func follow(ctx context.Context, atOnce <-chan struct{}, look func(context.Context, int) bool) {
	wait, tries := first, 0
	for ctx.Err() == nil {
		next := wait
		if look(ctx, tries) {
			wait, tries, next = first, 0, quiet
		} else {
			wait, tries = min(2*wait, longest), tries+1
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-atOnce:
			wait, tries = first, 0
		case <-timer.C:
		}
		timer.Stop()
	}
}

// Check returns an error unless `place` is host:port, or empty.
func Check(place string) error {
	if place == "" {
		return nil
	}
	if index := strings.LastIndexByte(place, ':'); index > 0 {
		if port, err := strconv.ParseUint(place[index+1:], 10, 16); err == nil && port > 0 {
			return nil
		}
	}
	return fmt.Errorf("%q is not the canary's address: write HOST:PORT", place)
}

type finding int

const (
	unknown finding = iota
	closed
	opened
)

// connect says whether `place` takes a TCP connection. What went wrong on this side, as a lack of descriptors, says
// nothing of the network.
func connect(ctx context.Context, place string, longest time.Duration) finding {
	index := strings.LastIndexByte(place, ':')
	// An IPv6 address may come without brackets: variables of the kubelet's have none.
	address := net.JoinHostPort(strings.Trim(place[:index], "[]"), place[index+1:])
	connection, err := (&net.Dialer{Timeout: longest}).DialContext(ctx, "tcp", address)
	if err == nil {
		_ = connection.Close()
		return opened
	}
	for _, each := range []error{
		os.ErrDeadlineExceeded, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ETIMEDOUT, syscall.EHOSTUNREACH,
		syscall.ENETUNREACH, syscall.EPERM, syscall.EACCES,
	} {
		if errors.Is(err, each) {
			return closed
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return closed
	}
	return unknown
}
