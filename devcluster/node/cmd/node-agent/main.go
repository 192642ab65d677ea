// node-agent runs what a development cluster's node needs beside the kubelet: a NetworkPolicy engine and
// a volume provisioner. It is a test bed, not part of the product.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"ringfence.dev/devcluster/internal/netpol"
	"ringfence.dev/devcluster/internal/provisioner"
)

type options struct {
	kubeconfig, node, podCIDRs, stateDir, socket string
	cleanup                                      bool
}

func main() {
	klog.InitFlags(nil)
	var o options
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "file that says how to reach the API server")
	flag.StringVar(&o.node, "node-name", "", "name of the node this runs on")
	flag.StringVar(&o.podCIDRs, "pod-cidrs", "", "the node's pod networks, comma separated, of both IP families")
	flag.StringVar(&o.stateDir, "state-dir", "", "directory for attachments and volumes")
	flag.StringVar(&o.socket, "socket", "", "unix socket for the CNI plugin")
	flag.BoolVar(&o.cleanup, "cleanup", false, "unmount and delete every volume under --state-dir, then exit")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "node-agent:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.stateDir == "" {
		return fmt.Errorf("--state-dir is missing")
	}
	volumes := provisioner.Volumes{Dir: filepath.Join(o.stateDir, "volumes")}
	if o.cleanup {
		return volumes.Cleanup(ctx)
	}
	client, err := newClient(o.kubeconfig)
	if err != nil {
		return err
	}
	cidrs, err := parseCIDRs(o.podCIDRs)
	if err != nil {
		return err
	}
	engine, err := netpol.New(netpol.Config{
		Client: client, Node: o.node, PodCIDRs: cidrs, StateDir: filepath.Join(o.stateDir, "attachments"),
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return engine.Serve(ctx, o.socket) })
	group.Go(func() error { engine.Run(ctx); return nil })
	group.Go(func() error { return provisioner.Run(ctx, client, o.node, volumes) })
	return group.Wait()
}

func newClient(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 200, 400
	config.UserAgent = "node-agent"
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	return kubernetes.NewForConfig(config)
}

func parseCIDRs(text string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for _, part := range strings.Split(text, ",") {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("--pod-cidrs: %w", err)
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}
