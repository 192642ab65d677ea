// Load creates objects from a manifest and measures, by its own monotonic clock, the time from sending each POST to
// seeing the object ready through a watch. It never polls. One JSON document on standard output holds every sample.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"
)

type options struct {
	server, ca, cert, key string
	collection, manifest  string
	stepsFile             string
	prefix, condition     string
	count, groups         int
	connections, inflight int
	rate                  float64
	timeout               time.Duration
}

type outcome struct {
	StartedUnixNano int64    `json:"started_unix_ns"`
	CPUSeconds      float64  `json:"cpu_s"`
	WatchBreaks     int64    `json:"watch_breaks"`
	Samples         []sample `json:"samples"`
}

func main() {
	o := parse()
	result, err := run(o)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func parse() options {
	var o options
	flag.StringVar(&o.server, "server", "", "API server URL")
	flag.StringVar(&o.ca, "ca", "", "CA file")
	flag.StringVar(&o.cert, "cert", "", "client certificate file")
	flag.StringVar(&o.key, "key", "", "client key file")
	flag.StringVar(&o.collection, "collection", "", "path of the collection, such as /api/v1/namespaces/x/pods")
	flag.StringVar(&o.manifest, "manifest", "", "JSON manifest; {name} is replaced, and {group} by the group's number")
	flag.StringVar(&o.stepsFile, "steps", "", "JSON: by object's name, what is asked after its POST, a list of {method, path, type, body};\n"+
		"{uid} and {version} in a body are the object's")
	flag.StringVar(&o.prefix, "prefix", "load", "prefix of the objects' names")
	flag.StringVar(&o.condition, "condition", "Ready", "the condition whose being True is awaited")
	flag.IntVar(&o.count, "count", 100, "how many objects")
	flag.IntVar(&o.groups, "groups", 1, "how many groups they belong to by turns")
	flag.IntVar(&o.connections, "connections", 20, "connections that the POSTs are spread over, opened beforehand")
	flag.IntVar(&o.inflight, "inflight", 400, "POSTs under way at once at most: an API server refuses what is too much; steps are not bounded")
	flag.Float64Var(&o.rate, "rate", 0, "objects per second, whether or not earlier ones are ready; 0: all at once")
	flag.DurationVar(&o.timeout, "timeout", 2*time.Minute, "give up this long after the last POST")
	flag.Parse()
	return o
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
