package netpol

import (
	"context"
	"fmt"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/klog/v2"

	"ringfence.dev/devcluster/internal/attachment"
)

const (
	barrierStep = 10 * time.Millisecond
	relistAfter = 500 * time.Millisecond // a policy that was deleted meanwhile never comes into the cache
)

// waitForPolicies returns nil once the caches hold the pod, its namespace and every policy that the API
// holds for the namespace.
//
// The caches are separate watches, each with its own delay. Without this a pod could be seen before a
// policy that was written before it.
func (e *Engine) waitForPolicies(ctx context.Context, a attachment.Attachment) error {
	for {
		list, err := e.client.NetworkingV1().NetworkPolicies(a.Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("policies of namespace %s: %w", a.Namespace, err)
		}
		for deadline := time.Now().Add(relistAfter); time.Now().Before(deadline); {
			if e.knows(a) && e.covers(list.Items) {
				return nil
			}
			if !pause(ctx, barrierStep) {
				return fmt.Errorf("pod %s is not in view yet: %w", klog.KRef(a.Namespace, a.Name), context.Cause(ctx))
			}
		}
	}
}

func (e *Engine) knows(a attachment.Attachment) bool {
	if !e.Ready() {
		return false
	}
	if _, err := e.view.namespaces.Get(a.Namespace); err != nil {
		return false
	}
	pod, err := e.view.pods.Pods(a.Namespace).Get(a.Name)
	return err == nil && string(pod.UID) == a.UID
}

// covers returns whether the cache is at least as new as each of the policies.
func (e *Engine) covers(policies []networkingv1.NetworkPolicy) bool {
	for i := range policies {
		want := &policies[i]
		cached, err := e.view.policies.NetworkPolicies(want.Namespace).Get(want.Name)
		if err != nil {
			return false
		}
		order, err := resourceversion.CompareResourceVersion(cached.ResourceVersion, want.ResourceVersion)
		if err != nil || order < 0 {
			return false
		}
	}
	return true
}
