package netpol

import (
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/knftables"
)

// addDifference adds to tx what turns the kernel's ruleset from old into new.
//
// The order matters within the transaction: what is referred to comes first,
// and what is no longer referred to goes last.
func addDifference(tx *knftables.Transaction, old, new *Ruleset) {
	declareNew(tx, old, new)
	for _, name := range sortedKeys(new.Chains) {
		rules, existed := old.Chains[name]
		if existed && slices.Equal(rules, new.Chains[name]) {
			continue
		}
		if existed {
			tx.Flush(&knftables.Chain{Name: name})
		}
		addRules(tx, name, new.Chains[name])
	}
	for _, name := range sortedKeys(new.Sets) {
		changeSet(tx, name, old.Sets[name].Elements, new.Sets[name].Elements)
	}
	for _, name := range sortedKeys(new.Maps) {
		changeMap(tx, name, old.Maps[name].Elements, new.Maps[name].Elements)
	}
	deleteOld(tx, old, new)
}

func declareNew(tx *knftables.Transaction, old, new *Ruleset) {
	for _, name := range sortedKeys(new.Chains) {
		if _, ok := old.Chains[name]; !ok {
			tx.Add(&knftables.Chain{Name: name})
		}
	}
	for _, name := range sortedKeys(new.Sets) {
		if _, ok := old.Sets[name]; !ok {
			tx.Add(&knftables.Set{Name: name, Type: new.Sets[name].Type})
		}
	}
	for _, name := range sortedKeys(new.Maps) {
		if _, ok := old.Maps[name]; !ok {
			tx.Add(&knftables.Map{Name: name, Type: new.Maps[name].Type + " : verdict"})
		}
	}
}

func changeSet(tx *knftables.Transaction, name string, old, new map[string]struct{}) {
	for _, key := range sortedKeys(old) {
		if _, ok := new[key]; !ok {
			tx.Delete(&knftables.Element{Set: name, Key: keyParts(key)})
		}
	}
	for _, key := range sortedKeys(new) {
		if _, ok := old[key]; !ok {
			tx.Add(&knftables.Element{Set: name, Key: keyParts(key)})
		}
	}
}

func changeMap(tx *knftables.Transaction, name string, old, new map[string]string) {
	for _, key := range sortedKeys(old) {
		if new[key] != old[key] {
			tx.Delete(&knftables.Element{Map: name, Key: keyParts(key)})
		}
	}
	for _, key := range sortedKeys(new) {
		if new[key] != old[key] {
			tx.Add(&knftables.Element{Map: name, Key: keyParts(key), Value: []string{new[key]}})
		}
	}
}

func deleteOld(tx *knftables.Transaction, old, new *Ruleset) {
	gone := missing(old.Chains, new.Chains)
	for _, name := range gone { // flushed first: they may jump to each other
		tx.Flush(&knftables.Chain{Name: name})
	}
	for _, name := range gone {
		tx.Delete(&knftables.Chain{Name: name})
	}
	for _, name := range missing(old.Sets, new.Sets) {
		tx.Delete(&knftables.Set{Name: name})
	}
	for _, name := range missing(old.Maps, new.Maps) {
		tx.Delete(&knftables.Map{Name: name})
	}
}

func addRules(tx *knftables.Transaction, chain string, rules []string) {
	for _, rule := range rules {
		tx.Add(&knftables.Rule{Chain: chain, Rule: rule})
	}
}

func keyParts(key string) []string { return strings.Split(key, " . ") }

func missing[V any](old, new map[string]V) []string {
	var names []string
	for _, name := range sortedKeys(old) {
		if _, ok := new[name]; !ok {
			names = append(names, name)
		}
	}
	return names
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
