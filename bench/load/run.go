package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// sample is one object's times in milliseconds after the start; those that never came are -1.
type sample struct {
	Name  string  `json:"name"`
	Due   float64 `json:"due_ms"`
	Sent  float64 `json:"sent_ms"`
	Acked float64 `json:"acked_ms"`
	Ready float64 `json:"ready_ms"`
	Error string  `json:"error,omitempty"`
}

// load is one run: its samples, and how many of them are still awaited.
type load struct {
	options
	manifest []byte
	start    time.Time
	mu       sync.Mutex
	samples  []sample
	byName   map[string]*sample
	awaited  int
	settled  chan struct{}
	slots    chan struct{} // one per request that may be under way
	steps    map[string][]step
}

// step is a request that comes after an object's POST.
type step struct {
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Type   string          `json:"type"`
	Body   json.RawMessage `json:"body"`
}

func run(o options) (*outcome, error) {
	l, err := newLoad(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	own, err := newClient(o)
	if err != nil {
		return nil, err
	}
	clients, err := connected(ctx, o)
	if err != nil {
		return nil, err
	}
	watcher, err := newWatcher(ctx, own, o.collection, l.saw)
	if err != nil {
		return nil, err
	}
	l.start = time.Now()
	ended := make(chan error, 1)
	go func() { ended <- watcher.follow(ctx) }()
	l.createAll(ctx, clients)
	select {
	case <-l.settled:
	case <-time.After(o.timeout):
	case err := <-ended:
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return &outcome{l.start.UnixNano(), cpuSeconds(), watcher.breaks.Load(), l.samples}, nil
}

func newLoad(o options) (*load, error) {
	manifest, err := os.ReadFile(o.manifest)
	if err != nil {
		return nil, err
	}
	l := &load{options: o, manifest: manifest, awaited: o.count, settled: make(chan struct{})}
	if l.steps, err = stepsOf(o.stepsFile); err != nil {
		return nil, err
	}
	l.slots = make(chan struct{}, o.inflight)
	l.samples = make([]sample, o.count)
	l.byName = make(map[string]*sample, o.count)
	for i := range l.samples {
		name := fmt.Sprintf("%s-%05d", o.prefix, i)
		l.samples[i] = sample{Name: name, Acked: -1, Ready: -1}
		l.byName[name] = &l.samples[i]
	}
	return l, nil
}

// stepsOf reads the steps of each object, by its name; none, if there is no file.
func stepsOf(file string) (map[string][]step, error) {
	steps := map[string][]step{}
	if file == "" {
		return steps, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(text, &steps)
	return steps, err
}

func (l *load) createAll(ctx context.Context, clients []*client) {
	var wait sync.WaitGroup
	for i := range l.samples {
		var due time.Duration
		if l.rate > 0 {
			due = time.Duration(float64(i) / l.rate * float64(time.Second))
		}
		time.Sleep(time.Until(l.start.Add(due)))
		l.samples[i].Due = milliseconds(due)
		wait.Go(func() { l.create(ctx, clients[i%len(clients)], &l.samples[i], i%l.groups) })
	}
	wait.Wait()
}

func (l *load) create(ctx context.Context, c *client, s *sample, group int) {
	body := bytes.ReplaceAll(l.manifest, []byte("{name}"), []byte(s.Name))
	body = bytes.ReplaceAll(body, []byte("{group}"), []byte(strconv.Itoa(group)))
	l.slots <- struct{}{}
	sent := time.Now()
	code, answer, err := c.send(ctx, http.MethodPost, l.collection, body)
	acked := time.Now()
	<-l.slots
	if err == nil && code == http.StatusCreated {
		err = l.follow(ctx, c, s, answer)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Sent, s.Acked = milliseconds(sent.Sub(l.start)), milliseconds(acked.Sub(l.start))
	if err == nil && code != http.StatusCreated {
		err = fmt.Errorf("%d %.400s", code, answer)
	}
	if err != nil {
		if s.Error = err.Error(); s.Ready < 0 {
			l.settle()
		}
	}
}

// follow asks what comes after an object's POST, whose answer this is.
func (l *load) follow(ctx context.Context, c *client, s *sample, answer []byte) error {
	if l.steps[s.Name] == nil {
		return nil
	}
	var created object
	if err := json.Unmarshal(answer, &created); err != nil {
		return err
	}
	for _, each := range l.steps[s.Name] {
		body := bytes.ReplaceAll(each.Body, []byte("{uid}"), []byte(created.Metadata.UID))
		body = bytes.ReplaceAll(body, []byte("{version}"), []byte(created.Metadata.ResourceVersion))
		code, answer, err := c.sendAs(ctx, each.Type, each.Method, each.Path, body)
		if err != nil {
			return err
		}
		if code != http.StatusOK {
			return fmt.Errorf("%s %s: %d %.400s", each.Method, each.Path, code, answer)
		}
	}
	return nil
}

func (l *load) saw(o *object, at time.Time) {
	if !o.has(l.condition) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.byName[o.Metadata.Name]; s != nil && s.Ready < 0 && s.Error == "" {
		s.Ready = milliseconds(at.Sub(l.start))
		l.settle()
	}
}

func (l *load) settle() {
	if l.awaited--; l.awaited == 0 {
		close(l.settled)
	}
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
