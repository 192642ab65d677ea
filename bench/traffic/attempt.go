package main

import (
	"context"
	"sync"
	"time"
)

// attempt is one new connection: when it began (Unix nanoseconds), how long it took, and why there is none.
type attempt struct {
	Began int64   `json:"began_ns"`
	Took  float64 `json:"ms"`
	Way   string  `json:"way"`
	Name  string  `json:"name"`
	Error string  `json:"error,omitempty"`
}

type attempts struct {
	mu  sync.Mutex
	all []attempt
}

func (a *attempts) add(o options, way, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout)
	defer cancel()
	began := time.Now()
	conn, err := dial(ctx, o, way, name)
	found := attempt{Began: began.UnixNano(), Took: milliseconds(time.Since(began)), Way: way, Name: name}
	if err != nil {
		found.Error = err.Error()
	} else if conn != nil {
		conn.Close()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, found)
}

// try opens connections to one name without a pause, as programs do that know of no proxy, and by CONNECT.
func try(o options) (any, error) {
	var found attempts
	var wait sync.WaitGroup
	end := time.Now().Add(o.length)
	for _, way := range []string{asPrograms, connect} {
		for range o.workers {
			wait.Go(func() {
				for time.Now().Before(end) {
					found.add(o, way, o.name)
					time.Sleep(o.pause)
				}
			})
		}
	}
	wait.Wait()
	return found.all, nil
}

// load opens connections at a rate, by SNI and by CONNECT in turn, and looks the name up between them if it is to;
// every fourth connection asks for the name that must be refused.
func load(o options) (any, error) {
	var found attempts
	var wait sync.WaitGroup
	start := time.Now()
	for number := 0; ; number++ {
		due := time.Duration(float64(number) / o.rate * float64(time.Second))
		if due >= o.length {
			break
		}
		time.Sleep(time.Until(start.Add(due)))
		ways, name := []string{sni, connect}, o.name
		if o.lookups {
			ways = append(ways, lookup)
		}
		way := ways[number%len(ways)]
		if o.refused != "" && number/2%4 == 3 {
			name = o.refused
		}
		wait.Go(func() { found.add(o, way, name) })
	}
	wait.Wait()
	return found.all, nil
}
