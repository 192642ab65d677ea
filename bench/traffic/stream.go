package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

type streamed struct {
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

const readSize = 256 << 10

// stream reads as fast as it can, on some connections by one way; what comes before all of them stand is not counted.
func stream(o options) (any, error) {
	conns := make([]net.Conn, o.streams)
	for i := range conns {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		conn, err := dial(ctx, o, o.way, o.name)
		cancel()
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		conns[i] = conn
	}
	began := time.Now()
	end := began.Add(o.length)
	totals, failures := make([]int64, o.streams), make([]error, o.streams)
	var wait sync.WaitGroup
	for i, conn := range conns {
		wait.Go(func() { totals[i], failures[i] = drain(conn, o.name, end) })
	}
	wait.Wait()
	found := streamed{Seconds: time.Since(began).Seconds()}
	for _, total := range totals {
		found.Bytes += total
	}
	return found, errors.Join(failures...)
}

// drain asks for more than can come in the time, and returns how much came.
func drain(conn net.Conn, name string, end time.Time) (int64, error) {
	if err := conn.SetDeadline(end); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintf(conn, "GET /bytes?n=%d HTTP/1.1\r\nHost: %s\r\n\r\n", int64(1)<<50, name); err != nil {
		return 0, err
	}
	buffer := make([]byte, readSize)
	var total int64
	for {
		count, err := conn.Read(buffer)
		total += int64(count)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return total, nil
		}
		if err == io.EOF {
			return total, errors.New("the stream ended early")
		}
		if err != nil {
			return total, err
		}
	}
}
