package outside

import (
	"net/netip"
	"strings"
	"sync"
)

// Names answers questions about the table, and keeps count where answers take turns.
type Names struct {
	entries map[string]Entry
	parents map[string]bool // names that have something below them
	mutex   sync.Mutex
	asked   map[string]int
}

// NewNames returns the names of a table.
func NewNames(entries map[string]Entry) *Names {
	names := &Names{entries: entries, parents: map[string]bool{}, asked: map[string]int{}}
	for name := range entries {
		for parent := above(name); parent != ""; parent = above(parent) {
			names.parents[parent] = true
		}
	}
	return names
}

// Find returns the entry of a name in lower case, without a dot at its end: its own, else the nearest wildcard's,
// else what the name itself spells out.
func (n *Names) Find(name string) (Entry, bool) {
	if entry, ok := n.entries[name]; ok {
		return entry, true
	}
	if address, ok := spelledOut(name); ok {
		return Entry{Answers: [][]netip.Addr{{address}}, TTL: 60}, true
	}
	for parent := above(name); parent != ""; parent = above(parent) {
		if entry, ok := n.entries["*."+parent]; ok {
			return entry, true
		}
	}
	return Entry{}, false
}

// Exists is true for a name that has records, or names with records below it.
func (n *Names) Exists(name string) bool {
	_, found := n.Find(name)
	return found || n.parents[name]
}

// Turn returns the addresses for this query; each name counts its own queries of each kind, from the first answer on.
func (n *Names) Turn(name string, entry Entry, kind string) []netip.Addr {
	switch len(entry.Answers) {
	case 0:
		return nil
	case 1:
		return entry.Answers[0]
	}
	n.mutex.Lock()
	defer n.mutex.Unlock()
	key := kind + " " + name
	turn := n.asked[key] % len(entry.Answers)
	n.asked[key]++
	return entry.Answers[turn]
}

func above(name string) string {
	_, parent, _ := strings.Cut(name, ".")
	return parent
}

// spelledOut reads 10-1-2-3.ip.test and 2001-db8--10.ip6.test.
func spelledOut(name string) (netip.Addr, bool) {
	label, parent, _ := strings.Cut(name, ".")
	separator, ok := map[string]string{"ip.test": ".", "ip6.test": ":"}[parent]
	if !ok {
		return netip.Addr{}, false
	}
	address, err := netip.ParseAddr(strings.ReplaceAll(label, "-", separator))
	return address, err == nil
}
