package netpol

import (
	"context"
	"net/netip"

	"k8s.io/klog/v2"
	"sigs.k8s.io/knftables"
)

// TableName is the inet table that belongs to the engine alone.
const TableName = "devcluster-netpol"

// kernel is the engine's table in the network namespace that the process runs in.
type kernel struct {
	nft      knftables.Interface
	podCIDRs []netip.Prefix
	applied  *Ruleset // nil when the table must be made anew
}

func newKernel(podCIDRs []netip.Prefix) (*kernel, error) {
	nft, err := knftables.New(knftables.InetFamily, TableName)
	if err != nil {
		return nil, err
	}
	return &kernel{nft: nft, podCIDRs: podCIDRs}, nil
}

// Apply makes want the ruleset in force, in one transaction; with an error the old one stays in force.
func (k *kernel) Apply(ctx context.Context, want *Ruleset) error {
	tx := k.nft.NewTransaction()
	if k.applied == nil {
		k.addTable(tx, want)
	} else {
		addDifference(tx, k.applied, want)
	}
	if tx.NumOperations() == 0 {
		return nil
	}
	if err := k.nft.Run(ctx, tx); err != nil {
		k.applied = nil // the kernel may not hold what we believe: the next time replaces everything
		klog.V(2).InfoS("transaction that failed", "text", tx.String())
		return err
	}
	k.applied = want
	return nil
}

// addTable replaces the whole table: the kernel goes from the old one to the new one at once.
func (k *kernel) addTable(tx *knftables.Transaction, want *Ruleset) {
	tx.Add(&knftables.Table{})
	tx.Delete(&knftables.Table{})
	tx.Add(&knftables.Table{Comment: knftables.PtrTo("NetworkPolicy engine of the development cluster")})
	fixed := fixedChains()
	for _, name := range sortedKeys(fixed) {
		tx.Add(&knftables.Chain{Name: name})
	}
	addDifference(tx, newRuleset(), want)
	for _, name := range sortedKeys(fixed) {
		addRules(tx, name, fixed[name])
	}
	for _, chain := range baseChains(k.podCIDRs) {
		tx.Add(&knftables.Chain{
			Name:     chain.name,
			Type:     knftables.PtrTo(knftables.FilterType),
			Hook:     knftables.PtrTo(chain.hook),
			Priority: knftables.PtrTo(chain.priority),
		})
		addRules(tx, chain.name, chain.rules)
	}
}
