package netpol

import (
	"fmt"
	"net/netip"
	"strings"

	"sigs.k8s.io/knftables"
)

// Names in the table that both the fixed chains and the compiled ruleset use.
const (
	podsSet    = "pods"    // addresses of the pods in view; everything else of the pod network is dropped
	selvesSet  = "selves"  // (address, same address): a pod may always reach itself
	linksSet   = "links"   // the node's ends of the pods' veth pairs
	sourcesSet = "sources" // (link, address): what may come from a link
	egressMap  = "egress"  // client pod → its class chain, for pods that are isolated for egress
	ingressMap = "ingress" // server pod → its class chain, for pods that are isolated for ingress
	refuse     = "refuse"
)

// baseChain is a chain on one of netfilter's hooks.
type baseChain struct {
	name     string
	hook     knftables.BaseChainHook
	priority knftables.BaseChainPriority
	rules    []string
}

// baseChains returns the chains that judge every packet, and never change.
//
// A packet is judged by its connection's client and server as conntrack knows
// them: `ct original saddr` is the client before any SNAT, `ct reply saddr` and
// `ct reply proto-src` the server after DNAT. They are the same for packets of
// both directions and for ICMP errors about them, so that a policy change cuts a connection at its next packet.
// Egress and ingress are base chains of their own: `accept` ends only one of them.
func baseChains(podCIDRs []netip.Prefix) []baseChain {
	self := both("ct original {ip} saddr . ct reply {ip} saddr @selves{n} accept")
	egress := both("ct original {ip} saddr vmap @egress{n}")
	ingress := both("ct reply {ip} saddr vmap @ingress{n}")
	return []baseChain{
		{"forward-egress", knftables.ForwardHook, knftables.FilterPriority, join(
			[]string{"iifname @links jump source-guard"}, unknown(podCIDRs, "saddr"), unknown(podCIDRs, "daddr"), self, egress)},
		{"forward-ingress", knftables.ForwardHook, knftables.FilterPriority + "+1", join(self, ingress)},
		{"input", knftables.InputHook, knftables.FilterPriority, join(
			[]string{"iif lo accept", "icmpv6 type { " + neighbourDiscovery + " } accept", "iifname @links jump source-guard"},
			unknown(podCIDRs, "saddr"), egress)},
		// Only answers to pods are judged: what the node itself begins is allowed, and
		// so are the resets and ICMP errors of our own refusals ("related").
		{"output", knftables.OutputHook, knftables.FilterPriority, join(
			[]string{"ct direction original accept", "ct state != established accept"}, egress)},
	}
}

const neighbourDiscovery = "nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, " +
	"mld-listener-report, mld-listener-done, mld2-listener-report"

// fixedChains are the chains that the base chains and class chains go to.
func fixedChains() map[string][]string {
	return map[string][]string{
		"source-guard": both("meta nfproto {nfproto} iifname . {ip} saddr != @sources{n} drop"),
		refuse:         {"meta l4proto tcp reject with tcp reset", "reject with icmpx type admin-prohibited"},
	}
}

// unknown drops packets whose address is of the pod network but of no pod in view,
// and those that conntrack cannot tell the connection of.
func unknown(podCIDRs []netip.Prefix, field string) []string {
	var rules []string
	for _, cidr := range podCIDRs {
		f := familyOf(cidr.Addr())
		address := f.protocol + " " + field
		rules = append(rules,
			fmt.Sprintf("%s %s ct state invalid,untracked drop", address, cidr),
			fmt.Sprintf("%s %s %s != @%s%s drop", address, cidr, address, podsSet, f.suffix))
	}
	return rules
}

// both writes a rule once for each family.
func both(format string) []string {
	rules := make([]string, 0, len(families))
	for _, f := range families {
		names := strings.NewReplacer("{ip}", f.protocol, "{n}", f.suffix, "{nfproto}", f.nfproto)
		rules = append(rules, names.Replace(format))
	}
	return rules
}

func join(parts ...[]string) []string {
	var all []string
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}
