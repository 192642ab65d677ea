// Traffic is what agents do in the measurements of the egress gateway: `traffic wait` is the agent's own process, the
// other commands run beside it, measure by their own clock, and print one JSON document.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const attemptTimeout = 3 * time.Second

type options struct {
	gateway string // address of the policy's port set
	direct  string // address that the name leads to
	name    string
	refused string
	way     string
	lookups bool
	count   int
	streams int
	workers int
	held    int
	rate    float64
	pause   time.Duration
	length  time.Duration
}

var commands = map[string]func(options) (any, error){
	"wait":    wait,
	"try":     try,
	"load":    load,
	"latency": latency,
	"stream":  stream,
	"flood":   flood,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "traffic: say wait, try, load, latency, stream or flood")
		os.Exit(2)
	}
	found, err := commands[os.Args[1]](parse(os.Args[2:]))
	if err == nil && found != nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "traffic:", err)
		os.Exit(1)
	}
}

func parse(arguments []string) options {
	var o options
	flags := flag.NewFlagSet("traffic", flag.ExitOnError)
	flags.StringVar(&o.gateway, "gateway", "", "address of the policy's port set")
	flags.StringVar(&o.direct, "direct", "", "address that the name leads to")
	flags.StringVar(&o.name, "name", "", "name to connect to")
	flags.StringVar(&o.refused, "refused", "", "name that must be refused; every fourth connection asks for it")
	flags.StringVar(&o.way, "way", "", "way to take")
	flags.BoolVar(&o.lookups, "lookups", false, "look the name up, too, as often as connections are opened each way")
	flags.IntVar(&o.count, "count", 100, "samples of each way")
	flags.IntVar(&o.streams, "streams", 1, "streams at once")
	flags.IntVar(&o.workers, "workers", 2, "workers for each way")
	flags.IntVar(&o.held, "held", 2000, "connections that a flood keeps open")
	flags.Float64Var(&o.rate, "rate", 200, "connections per second, whether or not earlier ones are there")
	flags.DurationVar(&o.pause, "pause", 2*time.Millisecond, "between two attempts of a worker")
	flags.DurationVar(&o.length, "length", 10*time.Second, "how long")
	_ = flags.Parse(arguments)
	return o
}

// wait sleeps until it is told to end.
func wait(options) (any, error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
	return nil, nil
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
