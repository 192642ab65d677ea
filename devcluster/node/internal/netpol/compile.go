package netpol

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// direction says where a policy's peers are found in a connection.
type direction struct {
	policyType networkingv1.PolicyType
	name       string
	verdicts   string // the map from isolated pods to their class chains
	peerSide   string // the conntrack tuple whose source address is the peer's
}

var (
	ingress = direction{networkingv1.PolicyTypeIngress, "in", ingressMap, "ct original"}
	egress  = direction{networkingv1.PolicyTypeEgress, "out", egressMap, "ct reply"}
)

// rule is what ingress and egress rules of the API have in common.
type rule struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []networkingv1.NetworkPolicyPort
}

type compiler struct {
	view *Snapshot
	out  *Ruleset
}

// Compile returns the ruleset that puts the snapshot's policies in force. It is pure.
//
// A policy that selects pods here is one chain per direction. Pods under the
// same policies share a class chain, which goes through the policies' chains
// and refuses what none of them accepted.
func Compile(view *Snapshot) *Ruleset {
	c := &compiler{view: view, out: newRuleset()}
	c.declare()
	for i := range view.Pods {
		c.addPod(&view.Pods[i])
	}
	for _, d := range []direction{ingress, egress} {
		c.addDirection(d)
	}
	return c.out
}

func (c *compiler) declare() {
	c.out.addSet(linksSet, "ifname")
	for _, f := range families {
		c.out.addSet(podsSet+f.suffix, f.addrType)
		c.out.addSet(selvesSet+f.suffix, f.addrType+" . "+f.addrType)
		c.out.addSet(sourcesSet+f.suffix, "ifname . "+f.addrType)
		c.out.addMap(egressMap+f.suffix, f.addrType)
		c.out.addMap(ingressMap+f.suffix, f.addrType)
	}
}

func (c *compiler) addPod(p *Pod) {
	if p.Link != "" {
		c.out.addSet(linksSet, "ifname", quote(p.Link))
	}
	for _, ip := range p.IPs {
		f := familyOf(ip)
		c.out.addSet(podsSet+f.suffix, f.addrType, ip.String())
		c.out.addSet(selvesSet+f.suffix, f.addrType+" . "+f.addrType, ip.String()+" . "+ip.String())
		if p.Link != "" {
			c.out.addSet(sourcesSet+f.suffix, "ifname . "+f.addrType, quote(p.Link)+" . "+ip.String())
		}
	}
}

func (c *compiler) addDirection(d direction) {
	chains := make([][]string, len(c.view.Pods)) // of each pod, the chains of the policies that select it
	for _, policy := range c.view.Policies {
		selected := c.selected(policy)
		if len(selected) == 0 || !isolates(policy, d.policyType) {
			continue
		}
		chain := c.addPolicy(policy, d)
		for _, i := range selected {
			chains[i] = append(chains[i], chain)
		}
	}
	for i, policyChains := range chains {
		if len(policyChains) == 0 {
			continue
		}
		class := c.addClass(policyChains, d)
		for _, ip := range c.view.Pods[i].IPs {
			c.out.Maps[d.verdicts+familyOf(ip).suffix].Elements[ip.String()] = "goto " + class
		}
	}
}

// selected returns the indices of the pods that the policy selects.
func (c *compiler) selected(policy *networkingv1.NetworkPolicy) []int {
	pods := selector(&policy.Spec.PodSelector)
	var selected []int
	for i := range c.view.Pods {
		pod := &c.view.Pods[i]
		if pod.Namespace == policy.Namespace && pods.Matches(pod.Labels) {
			selected = append(selected, i)
		}
	}
	return selected
}

func (c *compiler) addClass(policyChains []string, d direction) string {
	slices.Sort(policyChains)
	name := "class-" + d.name + "-" + short(strings.Join(policyChains, " "))
	if _, ok := c.out.Chains[name]; !ok {
		var rules []string
		for _, chain := range policyChains {
			rules = append(rules, "jump "+chain)
		}
		c.out.Chains[name] = append(rules, "goto "+refuse)
	}
	return name
}

// addPolicy adds the chain that accepts what the policy allows in one direction, and returns its name.
func (c *compiler) addPolicy(policy *networkingv1.NetworkPolicy, d direction) string {
	name := policyChain(policy, d)
	rules := []string{}
	for i, r := range rulesOf(policy, d) {
		peers := c.peerMatches(r.peers, policy.Namespace, fmt.Sprintf("%s-%d", name, i), d)
		rules = append(rules, cross(c.portMatches(r.ports), peers)...)
	}
	c.out.Chains[name] = rules
	return name
}

func rulesOf(policy *networkingv1.NetworkPolicy, d direction) []rule {
	var rules []rule
	if d.policyType == networkingv1.PolicyTypeIngress {
		for _, r := range policy.Spec.Ingress {
			rules = append(rules, rule{r.From, r.Ports})
		}
		return rules
	}
	for _, r := range policy.Spec.Egress {
		rules = append(rules, rule{r.To, r.Ports})
	}
	return rules
}

// peerMatches matches any of peers; none given is everybody. The pods among them are in the sets named set.
func (c *compiler) peerMatches(peers []networkingv1.NetworkPolicyPeer, namespace, set string, d direction) []match {
	if len(peers) == 0 {
		return anything
	}
	var matches []match
	var matchers []func(*Pod) bool
	for _, peer := range peers {
		if peer.IPBlock == nil {
			matchers = append(matchers, peerMatcher(peer, namespace, c.view.Namespaces))
			continue
		}
		if m, ok := blockMatch(peer.IPBlock, d.peerSide); ok {
			matches = append(matches, m)
		}
	}
	if len(matchers) == 0 {
		return matches
	}
	c.addAddressSets(set+"-v", func(p *Pod) bool {
		return slices.ContainsFunc(matchers, func(is func(*Pod) bool) bool { return is(p) })
	})
	for _, f := range families {
		matches = append(matches, match{f.suffix, fmt.Sprintf("%s %s saddr @%s-v%s", d.peerSide, f.protocol, set, f.suffix)})
	}
	return matches
}

// addAddressSets adds one set per family with the addresses of the pods that belong.
func (c *compiler) addAddressSets(name string, belongs func(*Pod) bool) {
	for _, f := range families {
		c.out.addSet(name+f.suffix, f.addrType)
	}
	for i := range c.view.Pods {
		if !belongs(&c.view.Pods[i]) {
			continue
		}
		for _, ip := range c.view.Pods[i].IPs {
			f := familyOf(ip)
			c.out.addSet(name+f.suffix, f.addrType, ip.String())
		}
	}
}

// namedPortNumbers returns the numbers that a port name has among the pods, in order.
func (c *compiler) namedPortNumbers(name string, protocol v1.Protocol) []int32 {
	var numbers []int32
	for i := range c.view.Pods {
		for _, port := range c.view.Pods[i].Ports {
			if port.Name == name && port.Protocol == protocol {
				numbers = append(numbers, port.Port)
			}
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// policyChain names a policy's chain: readable, and unique also where the name had to be cut.
func policyChain(policy *networkingv1.NetworkPolicy, d direction) string {
	key := policy.Namespace + "/" + policy.Name
	readable := key
	if len(readable) > 100 {
		readable = readable[:100]
	}
	return d.name + "-" + short(key) + "-" + readable
}

func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

func quote(name string) string { return `"` + name + `"` }
