package netpol

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/knftables"
)

func fakeKernel() (*kernel, *knftables.Fake) {
	nft := knftables.NewFake(knftables.InetFamily, TableName)
	return &kernel{nft: nft, podCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}, nft
}

func TestGoingThroughAnotherRulesetLeavesNothingBehind(t *testing.T) {
	view := world()
	plain := Compile(&view)
	view.Policies = []*networkingv1.NetworkPolicy{
		policy(t, `{podSelector: {}, ingress: [{ports: [{port: http}], from: [{podSelector: {}}]}], egress: [{to: [{namespaceSelector: {}}]}]}`),
	}
	isolated := Compile(&view)
	kernel, nft := fakeKernel()

	var dumps []string
	for _, want := range []*Ruleset{plain, isolated, plain} {
		if err := kernel.Apply(context.Background(), want); err != nil {
			t.Fatal(err)
		}
		dumps = append(dumps, nft.Dump())
	}

	if dumps[0] == dumps[1] || dumps[0] != dumps[2] {
		t.Errorf("before:\n%s\nafter:\n%s", dumps[0], dumps[2])
	}
}

func TestAPodThatJoinsAPolicyChangesOnlyElements(t *testing.T) {
	view := world()
	view.Policies = []*networkingv1.NetworkPolicy{policy(t, `{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}`)}
	after := Compile(&view)
	view.Pods = view.Pods[1:]
	before := Compile(&view)
	_, nft := fakeKernel()
	tx := nft.NewTransaction()

	addDifference(tx, before, after)

	for _, line := range strings.Split(strings.TrimSpace(tx.String()), "\n") {
		if !strings.HasPrefix(line, "add element ") {
			t.Errorf("not an element: %s", line)
		}
	}
}

func TestNothingIsSentWhenNothingChanged(t *testing.T) {
	view := world()
	_, nft := fakeKernel()
	tx := nft.NewTransaction()

	addDifference(tx, Compile(&view), Compile(&view))

	if tx.NumOperations() != 0 {
		t.Errorf("operations: %s", tx)
	}
}
