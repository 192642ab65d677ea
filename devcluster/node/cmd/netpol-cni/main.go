// netpol-cni is the last plugin of the development cluster's CNI chain.
//
// On ADD it tells the NetworkPolicy engine the pod's addresses and waits until
// the pod's policies are in force for them. When the engine is away the ADD
// fails, so no pod ever runs open.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"ringfence.dev/devcluster/internal/attachment"
)

const (
	addTimeout    = 20 * time.Second
	otherTimeout  = 2 * time.Second
	notAvailable  = 50 // CNI's well-known code for STATUS: the plugin cannot serve ADD
	tryAgainLater = 11 // CNI's well-known code
)

// conf is the plugin's part of the network configuration.
type conf struct {
	types.PluginConf
	Socket string `json:"socket"`
}

// podArgs are the CNI_ARGS that the container runtime sets.
type podArgs struct {
	types.CommonArgs
	K8S_POD_NAMESPACE types.UnmarshallableString //nolint:revive // the names are the runtime's
	K8S_POD_NAME      types.UnmarshallableString //nolint:revive
	K8S_POD_UID       types.UnmarshallableString //nolint:revive
}

func main() {
	skel.PluginMainFuncs(
		skel.CNIFuncs{Add: add, Del: del, Check: status, Status: status, GC: nothing},
		version.All, "netpol-cni: closes pods by NetworkPolicy before they run")
}

func add(args *skel.CmdArgs) error {
	c, err := parseConf(args.StdinData)
	if err != nil {
		return err
	}
	result, err := prevResult(c)
	if err != nil {
		return err
	}
	a, err := build(args, result)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), addTimeout)
	defer cancel()
	if err := attachment.NewClient(c.Socket).Add(ctx, a); err != nil {
		return types.NewError(tryAgainLater, "network policy is not in force for the pod", err.Error())
	}
	return types.PrintResult(result, c.CNIVersion)
}

// del never fails: a sandbox must be removable while the engine is away, and
// the engine forgets pods that are gone when it starts.
func del(args *skel.CmdArgs) error {
	c, err := parseConf(args.StdinData)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), otherTimeout)
	defer cancel()
	_ = attachment.NewClient(c.Socket).Delete(ctx, args.ContainerID)
	return nil
}

func status(args *skel.CmdArgs) error {
	c, err := parseConf(args.StdinData)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), otherTimeout)
	defer cancel()
	if err := attachment.NewClient(c.Socket).Health(ctx); err != nil {
		return types.NewError(notAvailable, "network policy engine is away", err.Error())
	}
	return nil
}

func nothing(*skel.CmdArgs) error { return nil }

func parseConf(stdin []byte) (*conf, error) {
	c := &conf{}
	if err := json.Unmarshal(stdin, c); err != nil {
		return nil, fmt.Errorf("network configuration: %w", err)
	}
	if c.Socket == "" {
		return nil, errors.New(`network configuration: "socket" is missing`)
	}
	return c, nil
}

func prevResult(c *conf) (*current.Result, error) {
	if c.RawPrevResult == nil {
		return nil, errors.New("netpol-cni must be chained after a plugin that gives the pod its addresses")
	}
	if err := version.ParsePrevResult(&c.PluginConf); err != nil {
		return nil, err
	}
	return current.NewResultFromResult(c.PrevResult)
}

func build(args *skel.CmdArgs, result *current.Result) (attachment.Attachment, error) {
	pod := podArgs{CommonArgs: types.CommonArgs{IgnoreUnknown: true}}
	a := attachment.Attachment{ContainerID: args.ContainerID}
	if err := types.LoadArgs(args.Args, &pod); err != nil {
		return a, err
	}
	a.Namespace, a.Name, a.UID = string(pod.K8S_POD_NAMESPACE), string(pod.K8S_POD_NAME), string(pod.K8S_POD_UID)
	for _, link := range result.Interfaces {
		if link.Sandbox == "" && strings.HasPrefix(link.Name, "veth") {
			a.Link = link.Name
		}
	}
	for _, ip := range result.IPs {
		addr, ok := netip.AddrFromSlice(ip.Address.IP)
		if !ok {
			return a, fmt.Errorf("address %v is not an IP address", ip.Address)
		}
		a.IPs = append(a.IPs, addr.Unmap())
	}
	return a, nil
}
