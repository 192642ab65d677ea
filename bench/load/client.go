package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
)

// client talks to the API server over one connection of its own.
type client struct {
	server string
	http   *http.Client
}

func newClient(o options) (*client, error) {
	pair, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(o.ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s holds no certificate", o.ca)
	}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
		ForceAttemptHTTP2: true,
	}
	return &client{server: o.server, http: &http.Client{Transport: transport}}, nil
}

// connected returns clients whose connections are open, so that no handshake is part of a measurement.
func connected(ctx context.Context, o options) ([]*client, error) {
	clients := make([]*client, o.connections)
	for i := range clients {
		c, err := newClient(o)
		if err != nil {
			return nil, err
		}
		if _, _, err := c.send(ctx, http.MethodGet, "/readyz", nil); err != nil {
			return nil, err
		}
		clients[i] = c
	}
	return clients, nil
}

func (c *client) send(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	return c.sendAs(ctx, "application/json", method, path, body)
}

func (c *client) sendAs(ctx context.Context, kind, method, path string, body []byte) (int, []byte, error) {
	response, err := c.open(ctx, kind, method, path, body)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

func (c *client) open(ctx context.Context, kind, method, path string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "ringfence-load")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Content-Type", kind)
	return c.http.Do(request)
}
