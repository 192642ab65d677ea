package outside

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sync/errgroup"
)

// Run serves until the context ends, or one server fails.
func Run(ctx context.Context, config Config) error {
	queries, err := openJournal(config.QueryLog)
	if err != nil {
		return err
	}
	connections, err := openJournal(config.ConnectionLog)
	if err != nil {
		return err
	}
	names := NewNames(config.Names)
	mint, err := newMint(config.Certificate, config.Key, names, config.Addresses)
	if err != nil {
		return err
	}
	stopped := ctx.Done()
	resolver := &resolver{names, queries}
	door := &doorman{
		tls: mint.config(), http: newQueue(), dns: newQueue(), log: connections, gullible: config.Gullible,
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, server := range resolver.servers(config.Resolvers, door.dns) {
		group.Go(func() error {
			if server.Listener != nil {
				return server.ActivateAndServe()
			}
			return server.ListenAndServe()
		})
	}
	group.Go(func() error { return newWeb(resolver, config.Sites).server().Serve(door.http) })
	for _, port := range config.TCPPorts {
		listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		group.Go(func() error { return door.serve(listener) })
	}
	for _, address := range config.Addresses {
		for _, port := range config.UDPPorts {
			group.Go(func() error { return echo(netip.AddrPortFrom(address, port)) })
		}
	}
	fmt.Fprintln(os.Stderr, "serving", len(config.Names), "names on ports", config.TCPPorts)
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// echo sends datagrams back from the address that they came to.
func echo(at netip.AddrPort) error {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	datagram := make([]byte, 65536)
	for {
		size, from, err := conn.ReadFromUDPAddrPort(datagram)
		if err != nil {
			return err
		}
		_, _ = conn.WriteToUDPAddrPort(datagram[:size], from)
	}
}
