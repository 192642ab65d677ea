package netpol

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// selector returns what s matches: nothing when s is nil or not valid (the API server lets no such one in).
func selector(s *metav1.LabelSelector) labels.Selector {
	compiled, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return compiled
}

// peerMatcher returns whether a pod is selected by one peer of a policy in namespace.
func peerMatcher(peer networkingv1.NetworkPolicyPeer, namespace string, namespaces map[string]labels.Set) func(*Pod) bool {
	if peer.IPBlock != nil {
		return func(*Pod) bool { return false }
	}
	pods := labels.Everything()
	if peer.PodSelector != nil {
		pods = selector(peer.PodSelector)
	}
	if peer.NamespaceSelector == nil {
		return func(p *Pod) bool { return p.Namespace == namespace && pods.Matches(p.Labels) }
	}
	spaces := selector(peer.NamespaceSelector)
	return func(p *Pod) bool {
		space, known := namespaces[p.Namespace]
		return known && spaces.Matches(space) && pods.Matches(p.Labels)
	}
}

// isolates returns whether the policy isolates the pods that it selects for ingress or for egress.
//
// The API server fills policyTypes in; the defaults are here for objects that did not pass it.
func isolates(policy *networkingv1.NetworkPolicy, direction networkingv1.PolicyType) bool {
	if len(policy.Spec.PolicyTypes) == 0 {
		return direction == networkingv1.PolicyTypeIngress || len(policy.Spec.Egress) > 0
	}
	for _, t := range policy.Spec.PolicyTypes {
		if t == direction {
			return true
		}
	}
	return false
}
