package netpol

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// world has a server with a named port, a client in its namespace and one in another.
func world() Snapshot {
	pod := func(namespace, name string, port int32, ips ...string) Pod {
		p := Pod{Namespace: namespace, Name: name, Labels: labels.Set{"app": name}, Link: "veth-" + name}
		p.Ports = []NamedPort{{"http", v1.ProtocolTCP, port}}
		for _, ip := range ips {
			p.IPs = append(p.IPs, netip.MustParseAddr(ip))
		}
		return p
	}
	return Snapshot{
		Pods: []Pod{
			pod("blue", "server", 8080, "10.0.0.1", "fd00::1"),
			pod("blue", "client", 9090, "10.0.0.2", "fd00::2"),
			pod("green", "client", 8080, "10.0.0.3", "fd00::3"),
		},
		Namespaces: map[string]labels.Set{"blue": {"team": "blue"}, "green": {"team": "green"}},
	}
}

// What a rule begins with that allows a port, before the port's number.
const (
	tcpPort  = "meta l4proto { tcp, icmp, ipv6-icmp } ct original protocol tcp ct reply proto-src "
	sctpPort = "meta l4proto { sctp, icmp, ipv6-icmp } ct original protocol sctp ct reply proto-src "
)

func policy(t *testing.T, spec string) *networkingv1.NetworkPolicy {
	t.Helper()
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "blue", Name: "p"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAPolicyBecomesTheRulesThatAcceptWhatItAllows(t *testing.T) {
	in, out := "in-"+short("blue/p")+"-blue/p", "out-"+short("blue/p")+"-blue/p"
	cases := []struct {
		name, spec, chain string
		want              []string
	}{
		{"no rule accepts nothing", `{podSelector: {}}`, in, nil},
		{"an empty rule accepts everything", `{podSelector: {}, ingress: [{}]}`, in, []string{"accept"}},
		{"egress is isolated when the policy has egress rules", `{podSelector: {}, egress: [{}]}`, out, []string{"accept"}},
		{
			"pods are told apart by addresses of both families, and the client is the peer of ingress",
			`{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}`, in,
			[]string{"ct original ip saddr @" + in + "-0-v4 accept", "ct original ip6 saddr @" + in + "-0-v6 accept"},
		},
		{
			"the server is the peer of egress",
			`{podSelector: {}, egress: [{to: [{podSelector: {}}]}]}`, out,
			[]string{"ct reply ip saddr @" + out + "-0-v4 accept", "ct reply ip6 saddr @" + out + "-0-v6 accept"},
		},
		{
			"a block with exceptions",
			`{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/16]}}]}]}`, out,
			[]string{"meta nfproto ipv4 ct reply ip saddr 10.0.0.0/8 ct reply ip saddr != 10.1.0.0/16 " +
				"ct reply ip saddr != 10.2.0.0/16 accept"},
		},
		{
			"a block of a whole family",
			`{podSelector: {}, egress: [{to: [{ipBlock: {cidr: "::/0"}}]}]}`, out,
			[]string{"meta nfproto ipv6 accept"},
		},
		{
			"ports: TCP is the default, a protocol alone is all its ports, endPort is inclusive",
			`{podSelector: {}, ingress: [{ports: [{port: 80}, {protocol: UDP}, {protocol: SCTP, port: 10, endPort: 20}]}]}`, in,
			[]string{
				tcpPort + "80 accept", "ct original protocol udp accept",
				sctpPort + "10-20 accept",
			},
		},
		{
			"every port with every peer",
			`{podSelector: {}, ingress: [{ports: [{port: 1}, {port: 2}], from: [{ipBlock: {cidr: 1.0.0.0/8}}, {ipBlock: {cidr: 2.0.0.0/8}}]}]}`, in,
			[]string{
				tcpPort + "1 meta nfproto ipv4 ct original ip saddr 1.0.0.0/8 accept",
				tcpPort + "1 meta nfproto ipv4 ct original ip saddr 2.0.0.0/8 accept",
				tcpPort + "2 meta nfproto ipv4 ct original ip saddr 1.0.0.0/8 accept",
				tcpPort + "2 meta nfproto ipv4 ct original ip saddr 2.0.0.0/8 accept",
			},
		},
		{
			"a named port is each pod's own number",
			`{podSelector: {}, ingress: [{ports: [{port: http}], from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}`, in,
			[]string{
				tcpPort + "8080 ct reply ip saddr @port-tcp-http-8080-v4 meta nfproto ipv4 accept",
				tcpPort + "9090 ct reply ip saddr @port-tcp-http-9090-v4 meta nfproto ipv4 accept",
			},
		},
		{
			"a named port that no pod has accepts nothing",
			`{podSelector: {}, ingress: [{ports: [{port: nobody}]}]}`, in, nil,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			view := world()
			view.Policies = []*networkingv1.NetworkPolicy{policy(t, c.spec)}

			rules, ok := Compile(&view).Chains[c.chain]

			if !ok {
				t.Fatalf("no chain %s", c.chain)
			}
			if !slices.Equal(rules, c.want) {
				t.Errorf("rules:\n%q\nwant:\n%q", rules, c.want)
			}
		})
	}
}

func TestPeersAreThePodsThatASelectorMeans(t *testing.T) {
	cases := []struct {
		name, peer string
		want       []string
	}{
		{"a pod selector looks in the policy's namespace", `{podSelector: {matchLabels: {app: client}}}`, []string{"10.0.0.2"}},
		{"an empty pod selector is the namespace", `{podSelector: {}}`, []string{"10.0.0.1", "10.0.0.2"}},
		{"a namespace selector alone is all its pods", `{namespaceSelector: {matchLabels: {team: green}}}`, []string{"10.0.0.3"}},
		{"an empty namespace selector is the cluster", `{namespaceSelector: {}}`, []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}},
		{
			"both together must both match",
			`{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: client}}}`, []string{"10.0.0.2"},
		},
		{
			"expressions",
			`{namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [blue]}]}, podSelector: {matchExpressions: [{key: app, operator: Exists}]}}`,
			[]string{"10.0.0.3"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			view := world()
			view.Policies = []*networkingv1.NetworkPolicy{policy(t, `{podSelector: {}, ingress: [{from: [`+c.peer+`]}]}`)}

			set := Compile(&view).Sets["in-"+short("blue/p")+"-blue/p-0-v4"]

			if got := slices.Sorted(maps.Keys(set.Elements)); !slices.Equal(got, c.want) {
				t.Errorf("peers %q, want %q", got, c.want)
			}
		})
	}
}

func TestOnlySelectedPodsAreIsolatedAndOnlyInTheDirectionsOfThePolicy(t *testing.T) {
	view := world()
	view.Policies = []*networkingv1.NetworkPolicy{policy(t, `{podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress]}`)}

	ruleset := Compile(&view)

	if got := slices.Sorted(maps.Keys(ruleset.Maps["ingress4"].Elements)); !slices.Equal(got, []string{"10.0.0.1"}) {
		t.Errorf("isolated for ingress: %q", got)
	}
	if got := slices.Sorted(maps.Keys(ruleset.Maps["ingress6"].Elements)); !slices.Equal(got, []string{"fd00::1"}) {
		t.Errorf("isolated for ingress by IPv6: %q", got)
	}
	if got := ruleset.Maps["egress4"].Elements; len(got) != 0 {
		t.Errorf("isolated for egress: %q", got)
	}
}

func TestPodsUnderTheSamePoliciesShareAClassThatRefusesAtItsEnd(t *testing.T) {
	view := world()
	first, second := policy(t, `{podSelector: {}}`), policy(t, `{podSelector: {matchLabels: {app: server}}}`)
	second.Name = "q"
	view.Policies = []*networkingv1.NetworkPolicy{first, second}

	ruleset := Compile(&view)

	server, client := ruleset.Maps["ingress4"].Elements["10.0.0.1"], ruleset.Maps["ingress4"].Elements["10.0.0.2"]
	if server == client {
		t.Errorf("server and client are under different policies, but share %q", server)
	}
	rules := ruleset.Chains[server[len("goto "):]]
	if len(rules) != 3 || rules[2] != "goto refuse" {
		t.Errorf("the server's class: %q", rules)
	}
}

func TestAPolicyThatSelectsNobodyHereCostsNothing(t *testing.T) {
	view := world()
	without := Compile(&view)
	view.Policies = []*networkingv1.NetworkPolicy{policy(t, `{podSelector: {matchLabels: {app: elsewhere}}, egress: [{}]}`)}

	with := Compile(&view)

	if len(with.Chains) != len(without.Chains) || len(with.Sets) != len(without.Sets) {
		t.Errorf("chains %v, sets %d", with.Chains, len(with.Sets))
	}
}
