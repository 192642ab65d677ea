package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime/debug"
	"time"
)

type latencies struct {
	Connect map[string][]float64 `json:"connect"` // new connections by way, in milliseconds
	Request map[string][]float64 `json:"request"` // requests on a kept connection
}

const warmUp = 20

// latency takes samples of each way in turn, in a new order each round, so that what else the machine does falls on all.
func latency(o options) (any, error) {
	debug.SetGCPercent(-1) // little is allocated, and a collection would fall on one way
	debug.SetMemoryLimit(256 << 20)
	found := latencies{map[string][]float64{}, map[string][]float64{}}
	if err := o.connections(found.Connect); err != nil {
		return nil, err
	}
	return found, o.requests(found.Request)
}

func (o options) connections(samples map[string][]float64) error {
	return o.rounds([]string{direct, sni, connect}, samples, func(ctx context.Context, way string) (time.Duration, error) {
		began := time.Now()
		conn, err := dial(ctx, o, way, o.name)
		took := time.Since(began)
		if err == nil {
			conn.Close()
		}
		return took, err
	})
}

func (o options) requests(samples map[string][]float64) error {
	ways := []string{direct, sni, connect, plain, byHost, forwarded}
	kept := map[string]*keptConnection{}
	for _, way := range ways {
		ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
		conn, err := dial(ctx, o, way, o.name)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", way, err)
		}
		defer conn.Close()
		kept[way] = &keptConnection{conn, bufio.NewReader(conn), request(way, o.name)}
	}
	return o.rounds(ways, samples, func(_ context.Context, way string) (time.Duration, error) { return kept[way].ask() })
}

func (o options) rounds(
	ways []string, samples map[string][]float64, once func(context.Context, string) (time.Duration, error),
) error {
	for number := range o.count + warmUp {
		rand.Shuffle(len(ways), func(i, j int) { ways[i], ways[j] = ways[j], ways[i] })
		for _, way := range ways {
			ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
			took, err := once(ctx, way)
			cancel()
			if err != nil {
				return fmt.Errorf("%s: %w", way, err)
			}
			if number >= warmUp {
				samples[way] = append(samples[way], milliseconds(took))
			}
			time.Sleep(o.pause)
		}
	}
	return nil
}

type keptConnection struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
}

func request(way, name string) []byte {
	target := "/"
	if way == forwarded {
		target = "http://" + name + "/"
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, name)
}

func (k *keptConnection) ask() (time.Duration, error) {
	if err := k.conn.SetDeadline(time.Now().Add(attemptTimeout)); err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err := k.conn.Write(k.request); err != nil {
		return 0, err
	}
	answer, err := http.ReadResponse(k.reader, nil)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return 0, err
	}
	took := time.Since(began)
	if answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("answered %s", answer.Status)
	}
	return took, nil
}
