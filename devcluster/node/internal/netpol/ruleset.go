package netpol

import "net/netip"

// Ruleset is the part of the engine's table that changes with pods and policies.
//
// Rules are nft text. An element's key is nft text too, so that two rulesets
// can be compared without asking the kernel.
type Ruleset struct {
	Chains map[string][]string
	Sets   map[string]Set
	Maps   map[string]Map
}

// Set is an nftables set: Type is the key's nft type, Elements the keys.
type Set struct {
	Type     string
	Elements map[string]struct{}
}

// Map is an nftables verdict map: Type is the key's nft type, Elements the verdict of each key.
type Map struct {
	Type     string
	Elements map[string]string
}

func newRuleset() *Ruleset {
	return &Ruleset{Chains: map[string][]string{}, Sets: map[string]Set{}, Maps: map[string]Map{}}
}

// addSet makes the set exist, empty if nothing is in it yet.
func (r *Ruleset) addSet(name, keyType string, keys ...string) {
	set, ok := r.Sets[name]
	if !ok {
		set = Set{Type: keyType, Elements: map[string]struct{}{}}
		r.Sets[name] = set
	}
	for _, key := range keys {
		set.Elements[key] = struct{}{}
	}
}

// addMap makes the map exist, empty if nothing is in it yet.
func (r *Ruleset) addMap(name, keyType string) {
	if _, ok := r.Maps[name]; !ok {
		r.Maps[name] = Map{Type: keyType, Elements: map[string]string{}}
	}
}

// family is an IP version, as nft names its parts.
type family struct {
	suffix   string // of sets and maps: one per family
	addrType string
	protocol string // in `ct original ip saddr`
	nfproto  string // in `meta nfproto ipv4`
}

var (
	ipv4     = family{"4", "ipv4_addr", "ip", "ipv4"}
	ipv6     = family{"6", "ipv6_addr", "ip6", "ipv6"}
	families = []family{ipv4, ipv6}
)

func familyOf(addr netip.Addr) family {
	if addr.Is4() {
		return ipv4
	}
	return ipv6
}
