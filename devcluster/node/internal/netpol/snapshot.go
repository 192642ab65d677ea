package netpol

import (
	"net/netip"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Snapshot is all that the ruleset is compiled from.
type Snapshot struct {
	Pods       []Pod                 // the node's pods that are in view and attached; no hostNetwork pods
	Namespaces map[string]labels.Set // labels of every namespace in view
	Policies   []*networkingv1.NetworkPolicy
}

// Pod is what policies can see of a pod.
type Pod struct {
	Namespace string
	Name      string
	Labels    labels.Set
	Ports     []NamedPort
	Link      string // may be empty: then its packets' source addresses are not checked
	IPs       []netip.Addr
}

// NamedPort is a container port that has a name.
type NamedPort struct {
	Name     string
	Protocol v1.Protocol
	Port     int32
}

// namedPorts returns the ports of the containers that run beside each other in the pod.
func namedPorts(spec *v1.PodSpec) []NamedPort {
	containers := append([]v1.Container{}, spec.Containers...)
	for _, c := range spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways {
			containers = append(containers, c)
		}
	}
	var ports []NamedPort
	for _, c := range containers {
		for _, port := range c.Ports {
			if port.Name != "" {
				ports = append(ports, NamedPort{port.Name, protocolOrTCP(port.Protocol), port.ContainerPort})
			}
		}
	}
	return ports
}

func protocolOrTCP(p v1.Protocol) v1.Protocol {
	if p == "" {
		return v1.ProtocolTCP
	}
	return p
}
