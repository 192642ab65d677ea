// Package feed is the native sidecar of a warm pod: it fetches the order that makes the pod an agent's, and hands it
// over once what confines the agent is in force.
package feed

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"reflect"
	"sync"
	"time"

	"ringfence.dev/starter/internal/control"
	"ringfence.dev/starter/internal/inside"
	"ringfence.dev/starter/internal/order"
	"ringfence.dev/starter/internal/shared"
)

const (
	// settle is how long it waits for an order to be in force before it polls again, so that the poll tells of it.
	settle = 100 * time.Millisecond
	// sayAgain is after how many failures in a row the log says that the operator is away, once more than at first.
	sayAgain = 6
)

// errHurry ends a poll that waits: what it told is not so any more.
var errHurry = errors.New("there is news")

// Feeder keeps what is known of the pod: whose it is, and the newest order.
type Feeder struct {
	directory shared.Directory
	client    *control.Client
	look      *inside.Look
	log       *slog.Logger

	mutex   sync.Mutex
	version string
	refused string
	uid     string       // of what the pod has become; empty while it is warm
	pending *order.Order // not wholly followed yet
	started chan struct{}
	told    control.State
	hurry   context.CancelCauseFunc
}

// New returns a feeder of the directory, which has to be prepared. It goes on where a former one was when it ended.
func New(directory shared.Directory, client *control.Client, canary string, log *slog.Logger) (*Feeder, error) {
	f := &Feeder{directory: directory, client: client, log: log, started: make(chan struct{})}
	f.look = inside.NewLook(canary, f.looked)
	start, err := order.Read(directory.Start())
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	f.become(start.Agent.UID)
	f.ring() // the former one may have been killed before it could
	return f, nil
}

// Run feeds until the context ends.
func (f *Feeder) Run(ctx context.Context) {
	var group sync.WaitGroup
	group.Go(func() { f.look.Run(ctx) })
	f.follow(ctx)
	f.client.Close()
	group.Wait()
}

func (f *Feeder) follow(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		former := f.state().Version
		found, err := f.poll(ctx)
		var malformed *control.MalformedError
		switch {
		case errors.Is(err, errHurry):
			continue
		case errors.As(err, &malformed) && malformed.Version != "" && malformed.Version != former:
			f.refuse(malformed.Version, malformed)
		case err == nil && found != nil && found.Version != former:
			f.take(ctx, found)
		case err == nil && found == nil:
		default: // an order that is sent again and again would be a loop, so it counts as a failure
			failures++
			f.lose(err)
			f.fail(ctx, failures, err)
			continue
		}
		failures = 0
	}
}

// poll asks once. It ends with errHurry if what it has told is not so any more.
func (f *Feeder) poll(ctx context.Context) (*order.Order, error) {
	if err := f.client.Connect(ctx); err != nil {
		return nil, err
	}
	ctx, hurry := context.WithCancelCause(ctx)
	defer hurry(nil)
	state := f.state()
	f.mutex.Lock()
	f.told, f.hurry = state, hurry
	f.mutex.Unlock()
	f.tellNews() // of a look since then
	found, err := f.client.Poll(ctx, state)
	if err != nil && context.Cause(ctx) == errHurry {
		return nil, errHurry
	}
	return found, err
}

func (f *Feeder) fail(ctx context.Context, failures int, err error) {
	if ctx.Err() != nil {
		return
	}
	if failures == 1 || failures == sayAgain {
		f.log.Warn("control.away", "error", reason(err), "failures", failures)
	}
	f.client.Pause(ctx, failures, err)
}

func reason(err error) string {
	if err == nil {
		return "the same order again"
	}
	return err.Error()
}

// take follows an order as far as that is possible now, or drops what it has if there is none any more.
func (f *Feeder) take(ctx context.Context, found *order.Order) {
	f.mutex.Lock()
	if found.Version == order.None {
		f.drop(found.Version)
		f.mutex.Unlock()
		return
	}
	f.version, f.refused, f.pending = found.Version, "", found
	f.mutex.Unlock()
	f.log.Info("order.received", "version", found.Version, "uid", found.Agent.UID)
	f.advance()
	select {
	case <-f.started:
	case <-ctx.Done():
	case <-time.After(settle):
	}
}

// lose drops the order that is pending if the control server answers with an error: it may have been taken back, and
// comes again if it has not. A server that is away says nothing of it.
func (f *Feeder) lose(err error) {
	var status *control.StatusError
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if errors.As(err, &status) && f.pending != nil && f.uid == "" {
		f.drop("")
	}
}

// drop makes the pod as warm as it was, unless it has become an agent's: what has started goes on.
func (f *Feeder) drop(version string) {
	if f.uid == "" {
		f.log.Info("order.taken_back", "version", f.version)
		f.pending, f.refused = nil, ""
		f.look.Watch("")
	}
	f.version = version
}

// looked is told of each look from inside.
func (f *Feeder) looked() {
	f.advance()
	f.tellNews()
}

// advance does what can be done of the order that is pending.
func (f *Feeder) advance() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.pending == nil {
		return
	}
	var taken *shared.TakenError
	isDone, err := f.obey(f.pending)
	switch {
	case errors.As(err, &taken):
		f.become(taken.UID)
		fallthrough
	case isDone:
		f.pending = nil
	}
	f.noteRefusal(err)
}

// obey returns true if the order is followed wholly. What it does may be done again.
func (f *Feeder) obey(wanted *order.Order) (bool, error) {
	if f.uid != "" && f.uid != wanted.Agent.UID {
		return false, &shared.TakenError{UID: f.uid}
	}
	if err := f.directory.Resolve(wanted.ResolvConf); err != nil {
		return false, err
	}
	place, err := wanted.Place()
	if err != nil {
		return false, err
	}
	f.look.Watch(place)
	if f.uid != "" {
		return true, nil
	}
	if !f.look.IsInForce() {
		return false, nil
	}
	if err := f.directory.HandOver(&wanted.Start); err != nil {
		return false, err
	}
	f.ring()
	f.become(wanted.Agent.UID)
	f.log.Info("order.handed_over", "uid", f.uid, "agent", wanted.Agent.Namespace+"/"+wanted.Agent.Name)
	return true, nil
}

// ring tells the agent's container that its start is there. It looks by itself, too, if somewhat later.
func (f *Feeder) ring() {
	if err := f.directory.Ring(); err != nil {
		f.log.Warn("bell.not_rung", "error", err.Error())
	}
}

// become notes whose the pod is. It is called once, or with the same UID.
func (f *Feeder) become(uid string) {
	if f.uid == "" {
		f.uid = uid
		close(f.started)
	}
}

func (f *Feeder) refuse(version string, err error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.version, f.pending = version, nil
	f.noteRefusal(err)
}

func (f *Feeder) noteRefusal(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != f.refused && text != "" {
		f.log.Error("order.refused", "version", f.version, "error", text)
	}
	f.refused = text
}

// tellNews ends the poll that waits, if what it told is not so any more.
func (f *Feeder) tellNews() {
	state := f.state()
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.hurry != nil && !reflect.DeepEqual(state, f.told) {
		f.hurry(errHurry)
	}
}

func (f *Feeder) state() control.State {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return control.State{
		Version: f.version, AgentUID: f.uid, Started: f.uid != "", Refused: f.refused, Inside: f.look.Finding(),
	}
}
