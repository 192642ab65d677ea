package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Ways of flooding, besides those of dial.go.
const (
	silent = "silent" // connects, and never says a word
	slow   = "slow"   // headers that never end, by plain HTTP and by CONNECT in turn
)

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
	for range o.workers {
		wait.Go(func() {
			kept := make([]net.Conn, max(1, o.held/o.workers))
			for number := 0; time.Now().Before(end); number++ {
				conn, err := floodOnce(o, number, end)
				if err != nil {
					failed.Add(1)
					continue
				}
				opened.Add(1)
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
