package netpol

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// match is a piece of an nft rule; suffix is its family's, or empty for both.
type match struct {
	suffix string
	expr   string
}

var anything = []match{{}}

// cross returns the rules that accept what matches one of ports and one of peers.
func cross(ports, peers []match) []string {
	var rules []string
	for _, port := range ports {
		for _, peer := range peers {
			if port.suffix != "" && peer.suffix != "" && port.suffix != peer.suffix {
				continue
			}
			rules = append(rules, strings.TrimSpace(strings.Join([]string{port.expr, peer.expr, "accept"}, " ")))
		}
	}
	for i := range rules {
		rules[i] = strings.Join(strings.Fields(rules[i]), " ")
	}
	return rules
}

// blockMatch matches the addresses of an ipBlock on side, which is "ct original" or "ct reply".
func blockMatch(block *networkingv1.IPBlock, side string) (match, bool) {
	prefix, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		return match{}, false
	}
	f := familyOf(prefix.Addr())
	parts := []string{"meta nfproto " + f.nfproto}
	if prefix.Bits() > 0 {
		parts = append(parts, fmt.Sprintf("%s %s saddr %s", side, f.protocol, prefix.Masked()))
	}
	for _, text := range block.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil || familyOf(except.Addr()) != f {
			continue
		}
		if except.Bits() == 0 {
			return match{}, false
		}
		parts = append(parts, fmt.Sprintf("%s %s saddr != %s", side, f.protocol, except.Masked()))
	}
	return match{f.suffix, strings.Join(parts, " ")}, true
}

// portMatches matches the server's port, after DNAT, by any of the policy's ports; none given is every port.
//
// The protocol is the connection's and not the packet's: an ICMP error that belongs to the connection goes its way.
func (c *compiler) portMatches(ports []networkingv1.NetworkPolicyPort) []match {
	if len(ports) == 0 {
		return anything
	}
	var matches []match
	for _, port := range ports {
		protocol := v1.ProtocolTCP
		if port.Protocol != nil {
			protocol = protocolOrTCP(*port.Protocol)
		}
		switch {
		case port.Port == nil:
			matches = append(matches, match{expr: "ct original protocol " + nftName(protocol)})
		case port.Port.Type == intstr.String:
			matches = append(matches, c.namedPortMatches(port.Port.StrVal, protocol)...)
		case port.EndPort != nil:
			matches = append(matches, match{expr: serverPort(protocol, fmt.Sprintf("%d-%d", port.Port.IntVal, *port.EndPort))})
		default:
			matches = append(matches, match{expr: serverPort(protocol, strconv.Itoa(int(port.Port.IntVal)))})
		}
	}
	return matches
}

// serverPort matches the server's port. nft asks for the packet's own protocol before it takes a port.
func serverPort(protocol v1.Protocol, port string) string {
	name := nftName(protocol)
	return fmt.Sprintf("meta l4proto { %[1]s, icmp, ipv6-icmp } ct original protocol %[1]s ct reply proto-src %[2]s", name, port)
}

func nftName(protocol v1.Protocol) string { return strings.ToLower(string(protocol)) }

// namedPortMatches matches, for every number that the name has in some pod, the pods where it has it.
func (c *compiler) namedPortMatches(name string, protocol v1.Protocol) []match {
	var matches []match
	for _, number := range c.namedPortNumbers(name, protocol) {
		set := fmt.Sprintf("port-%s-%s-%d-v", nftName(protocol), name, number)
		c.addAddressSets(set, func(p *Pod) bool { return p.serves(name, protocol, number) })
		for _, f := range families {
			pods := fmt.Sprintf(" ct reply %s saddr @%s%s", f.protocol, set, f.suffix)
			matches = append(matches, match{f.suffix, serverPort(protocol, strconv.Itoa(int(number))) + pods})
		}
	}
	return matches
}

func (p *Pod) serves(name string, protocol v1.Protocol, number int32) bool {
	for _, port := range p.Ports {
		if port == (NamedPort{name, protocol, number}) {
			return true
		}
	}
	return false
}
