package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Ways of flooding, besides those of dial.go.
const (
	silent  = "silent"  // connects, and never says a word
	slow    = "slow"    // headers that never end, by plain HTTP and by CONNECT in turn
	lookups = "lookups" // asks the policy's name server, and waits for no answer
)

// lookupsAtOnce are asked by a worker before it looks at the clock again; each counts as one that stood.
const lookupsAtOnce = 100

const dripEvery = time.Second

// flooded is what a flood came to: connections that stood (for TLS: with their handshake done), and those that did not.
type flooded struct {
	Opened  int64   `json:"opened"`
	Failed  int64   `json:"failed"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"` // seconds that the flood's own process took
}

// flood opens connections as fast as it can; of those that stay open it keeps the last `held`.
func flood(o options) (any, error) {
	var opened, failed atomic.Int64
	var wait sync.WaitGroup
	began := time.Now()
	end := began.Add(o.length)
	weight := int64(1)
	if o.way == lookups {
		weight = lookupsAtOnce
	}
	for range o.workers {
		wait.Go(func() {
			kept := make([]net.Conn, max(1, o.held/o.workers))
			for number := 0; time.Now().Before(end); number++ {
				conn, err := floodOnce(o, number, end)
				if err != nil {
					failed.Add(1)
					continue
				}
				opened.Add(weight)
				place := number % len(kept)
				reset(kept[place])
				kept[place] = conn
			}
			for _, conn := range kept {
				reset(conn)
			}
		})
	}
	wait.Wait()
	return flooded{opened.Load(), failed.Load(), time.Since(began).Seconds(), cpuSeconds()}, nil
}

func cpuSeconds() float64 {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	return (time.Duration(used.Utime.Nano()) + time.Duration(used.Stime.Nano())).Seconds()
}

// floodOnce returns a connection that is to be kept, none if it is done with, and an error if it was refused.
func floodOnce(o options, number int, end time.Time) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	switch o.way {
	case silent:
		return open(ctx, o.gateway, "443")
	case lookups:
		return nil, ask(o, number)
	case slow:
		conn, err := open(ctx, o.gateway, "80")
		if err == nil {
			go drip(conn, o.name, number, end)
		}
		return conn, err
	}
	conn, err := dial(ctx, o, o.way, o.name)
	if err == nil {
		conn.Close()
	}
	return nil, err
}

// ask sends queries for the name in one go, from a port of their own.
func ask(o options, number int) error {
	conn, err := net.Dial("udp", net.JoinHostPort(o.gateway, "53"))
	if err != nil {
		return err
	}
	defer conn.Close()
	query := []byte{0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range strings.SplitSeq(o.name, ".") {
		query = append(append(query, byte(len(label))), label...)
	}
	query = append(query, 0, 0, 1, 0, 1)
	for each := range lookupsAtOnce {
		binary.BigEndian.PutUint16(query, uint16(number*lookupsAtOnce+each))
		if _, err := conn.Write(query); err != nil {
			return err
		}
	}
	return nil
}

// drip begins a request and says one more header each second until the other end has enough.
func drip(conn net.Conn, name string, number int, end time.Time) {
	first := fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\n", name)
	if number%2 == 1 {
		first = fmt.Sprintf("CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n", name, name)
	}
	_, err := conn.Write([]byte(first))
	for err == nil && time.Now().Before(end) {
		time.Sleep(dripEvery)
		_, err = conn.Write([]byte("X-More: 1\r\n"))
	}
}

// reset closes without the minute in which the kernel would keep the port.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	}
}
