// Package netpol enforces networking.k8s.io/v1 NetworkPolicy on the development cluster's only node.
package netpol

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"ringfence.dev/devcluster/internal/attachment"
)

const (
	// gather is how long a pass waits for more events, so that a burst costs one transaction.
	gather = time.Millisecond
	// retryAfter is the pause after a transaction that failed.
	retryAfter = 200 * time.Millisecond
)

// Config is what the engine has to be told.
type Config struct {
	Client   kubernetes.Interface
	Node     string         // name of the node whose pods are judged
	PodCIDRs []netip.Prefix // of the node; addresses in them are closed until their pod is known
	StateDir string         // for the attachments
}

// Engine keeps the kernel's rules in step with the API and with CNI.
type Engine struct {
	client kubernetes.Interface
	view   *view
	store  *store
	kernel *kernel
	dirty  chan struct{}

	mu      sync.Mutex
	asked   uint64 // counts the changes
	done    uint64 // what asked was when the pass began whose rules are in force
	inForce map[string]bool
	passed  chan struct{} // closed and replaced after every pass
}

// New returns an engine that has not touched anything yet.
func New(c Config) (*Engine, error) {
	e := &Engine{client: c.Client, dirty: make(chan struct{}, 1), passed: make(chan struct{})}
	var err error
	if e.kernel, err = newKernel(c.PodCIDRs); err != nil {
		return nil, err
	}
	if e.store, err = openStore(c.StateDir); err != nil {
		return nil, err
	}
	e.view, err = newView(c.Client, c.Node, func() { e.touch() })
	return e, err
}

// Run enforces until ctx is done, and then leaves the rules in force.
func (e *Engine) Run(ctx context.Context) {
	if !e.view.Start(ctx.Done()) {
		return
	}
	e.forgetGone()
	e.touch()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.dirty:
		}
		if !pause(ctx, gather) {
			return
		}
		if err := e.pass(ctx); err != nil {
			klog.ErrorS(err, "rules could not be applied; the old ones stay in force")
			pause(ctx, retryAfter)
			e.touch()
		}
	}
}

// Ready returns whether a ruleset of this process is in force.
func (e *Engine) Ready() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.done > 0
}

// touch asks for a pass and returns the number that done must reach for it to be over.
func (e *Engine) touch() uint64 {
	e.mu.Lock()
	e.asked++
	asked := e.asked
	e.mu.Unlock()
	select {
	case e.dirty <- struct{}{}:
	default: // a pass is already due, and will see this change
	}
	return asked
}

func (e *Engine) pass(ctx context.Context) error {
	e.mu.Lock()
	asked := e.asked
	e.mu.Unlock()
	began := time.Now()
	attachments := e.store.All()
	snapshot, err := e.view.Snapshot(attachments)
	if err != nil {
		return err
	}
	if err := e.kernel.Apply(ctx, Compile(snapshot)); err != nil {
		return err
	}
	klog.V(1).InfoS("rules in force", "pods", len(snapshot.Pods), "policies", len(snapshot.Policies), "took", time.Since(began))
	e.report(asked, snapshot)
	return nil
}

func (e *Engine) report(asked uint64, snapshot *Snapshot) {
	inForce := map[string]bool{}
	for _, pod := range snapshot.Pods {
		inForce[pod.Namespace+"/"+pod.Name] = true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done, e.inForce = asked, inForce
	close(e.passed)
	e.passed = make(chan struct{})
}

// forgetGone drops the attachments of pods that were deleted while no engine ran.
func (e *Engine) forgetGone() {
	for _, a := range e.store.All() {
		pod, err := e.view.pods.Pods(a.Namespace).Get(a.Name)
		if err == nil && string(pod.UID) == a.UID {
			continue
		}
		if err := e.store.Delete(a.ContainerID); err != nil {
			klog.ErrorS(err, "attachment of a pod that is gone stays", "pod", klog.KRef(a.Namespace, a.Name))
		}
	}
}

// Detach forgets a sandbox. Its addresses are closed soon after.
func (e *Engine) Detach(id string) error {
	err := e.store.Delete(id)
	e.touch()
	return err
}

// Attach records a sandbox and returns nil once everything that the API held about its pod's
// isolation when Attach was called is in force for the sandbox's addresses.
func (e *Engine) Attach(ctx context.Context, a attachment.Attachment) error {
	if err := e.store.Put(a); err != nil {
		return err
	}
	if err := e.waitForPolicies(ctx, a); err != nil {
		return err
	}
	return e.waitInForce(ctx, e.touch(), a)
}

func (e *Engine) waitInForce(ctx context.Context, number uint64, a attachment.Attachment) error {
	for {
		e.mu.Lock()
		ok := e.done >= number && e.inForce[a.Namespace+"/"+a.Name]
		passed := e.passed
		e.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-passed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// pause waits and returns whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
