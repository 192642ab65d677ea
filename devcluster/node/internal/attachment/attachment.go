// Package attachment is what the CNI plugin and the NetworkPolicy engine say to each other.
//
// It stays free of client-go, because the plugin is started for every pod and
// has to start fast.
package attachment

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Attachment is one pod sandbox's place in the network, as CNI made it.
type Attachment struct {
	ContainerID string       `json:"containerID"`
	Namespace   string       `json:"namespace"`
	Name        string       `json:"name"`
	UID         string       `json:"uid"`
	Link        string       `json:"link,omitempty"` // the node's end of the pod's veth pair
	IPs         []netip.Addr `json:"ips"`
}

// Path is where attachments are posted to; one is deleted at Path + "/" + its container ID.
const Path = "/v1/attachments"

// Client speaks to the engine over its unix socket.
type Client struct{ http http.Client }

// NewClient returns a client for the engine that listens on socket.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &Client{http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Add returns nil once the pod's policies are in force for its addresses.
func (c *Client) Add(ctx context.Context, a Attachment) error {
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, Path, body)
}

// Delete makes the engine forget a sandbox; one that it does not know is no error.
func (c *Client) Delete(ctx context.Context, containerID string) error {
	return c.do(ctx, http.MethodDelete, Path+"/"+url.PathEscape(containerID), nil)
}

// Health returns nil when the engine has a ruleset in the kernel.
func (c *Client) Health(ctx context.Context) error {
	return c.do(ctx, http.MethodGet, "/healthz", nil)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 == 2 {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	return fmt.Errorf("network policy engine: %s: %s", response.Status, strings.TrimSpace(string(text)))
}
