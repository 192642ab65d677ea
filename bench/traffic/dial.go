package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
)

// Ways of opening a connection. Whom the certificate names is not looked at: what is measured is the way.
const (
	direct     = "direct"      // TLS to the address itself, which the policy opens by CIDR
	sni        = "sni"         // TLS to the port set, judged by SNI
	connect    = "connect"     // TLS inside of CONNECT
	plain      = "plain"       // HTTP to the address itself
	byHost     = "host"        // HTTP to the port set, judged by Host
	forwarded  = "forwarded"   // HTTP through the proxy
	asPrograms = "as-programs" // the name is looked up first, at the policy's name server
	lookup     = "lookup"      // no connection: the name is looked up there, and that is all
)

// dial returns a connection on which the handshakes are done; a look-up has none.
func dial(ctx context.Context, o options, way, name string) (net.Conn, error) {
	switch way {
	case plain:
		return open(ctx, o.direct, "80")
	case byHost:
		return open(ctx, o.gateway, "80")
	case forwarded:
		return open(ctx, o.gateway, "3128")
	case direct:
		return secure(ctx, name, func() (net.Conn, error) { return open(ctx, o.direct, "443") })
	case sni:
		return secure(ctx, name, func() (net.Conn, error) { return open(ctx, o.gateway, "443") })
	case asPrograms:
		// The dot at the end keeps the search list out of it.
		return secure(ctx, name, func() (net.Conn, error) { return open(ctx, name+".", "443") })
	case lookup:
		return nil, resolve(ctx, o.gateway, name)
	case connect:
		return secure(ctx, name, func() (net.Conn, error) { return tunnel(ctx, o, net.JoinHostPort(name, "443")) })
	}
	return nil, fmt.Errorf("%q is no way", way)
}

func resolve(ctx context.Context, server, name string) error {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, net.JoinHostPort(server, "53"))
	}}
	_, err := resolver.LookupNetIP(ctx, "ip4", name+".")
	return err
}

func open(ctx context.Context, host, port string) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
}

func secure(ctx context.Context, name string, below func() (net.Conn, error)) (net.Conn, error) {
	conn, err := below()
	if err != nil {
		return nil, err
	}
	wrapped := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err := wrapped.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return wrapped, nil
}

func tunnel(ctx context.Context, o options, target string) (net.Conn, error) {
	conn, err := open(ctx, o.gateway, "3128")
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("CONNECT: %s", answer.Status)
	}
	if err == nil && reader.Buffered() > 0 {
		err = fmt.Errorf("CONNECT: %d bytes before the client's first", reader.Buffered())
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
