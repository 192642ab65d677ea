package control

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"ringfence.dev/starter/internal/order"
)

const (
	path     = "/v1/starter/poll"
	protocol = 1
	// hold is how long the server may keep a poll waiting, grace what an answer may take besides.
	hold  = 20 * time.Second
	grace = 10 * time.Second

	firstDelay   = 200 * time.Millisecond
	longestDelay = 10 * time.Second
	// quickTries: only one of the operator's replicas serves; a refused connection is tried again at once, to reach
	// another.
	quickTries = 6
	// final is how long a token that was refused is not tried again, unless its file changes.
	final      = 60 * time.Second
	tokenPause = time.Second
)

// State is what a poll tells the operator.
type State struct {
	// Version of the order that it has.
	Version string
	// AgentUID of what the pod has become, empty while it is warm.
	AgentUID string
	Started  bool
	// Refused says why the order of that version was not followed.
	Refused string
	// Inside is nil until there is a finding.
	Inside *Inside
}

// Inside is what the pod's network is like from inside.
type Inside struct {
	// Closed is true if the canary, which nothing permits, could not be reached.
	Closed bool `json:"closed"`
	// WayOut says whether the policy's port set answers; nil without one.
	WayOut *bool `json:"wayOut"`
}

// poll is the body of a request.
type poll struct {
	Protocol    int     `json:"protocol"`
	Version     string  `json:"version"`
	AgentUID    string  `json:"agentUid"`
	Started     bool    `json:"started"`
	Refused     string  `json:"refused"`
	Inside      *Inside `json:"inside"`
	WaitSeconds float64 `json:"waitSeconds"`
}

// StatusError is an answer that is none of those that are wished for.
type StatusError struct {
	Status     int
	RetryAfter time.Duration
}

func (e *StatusError) Error() string { return fmt.Sprintf("HTTP %d", e.Status) }

// IsFinal reports whether only another token makes a difference.
func (e *StatusError) IsFinal() bool { return e.Status == 401 || e.Status == 403 }

// MalformedError is an order that the starter does not follow: what it says is not what it may say.
type MalformedError struct {
	Version string
	Err     error
}

func (e *MalformedError) Error() string { return fmt.Sprintf("the order is malformed: %v", e.Err) }

// Unwrap returns what is wrong.
func (e *MalformedError) Unwrap() error { return e.Err }

// Client asks the control server for orders.
type Client struct {
	channel *Channel
	token   string
	refused [sha256.Size]byte
}

// NewClient returns a client for https://ADDRESS:PORT, with the files of its token and of the server's authority.
func NewClient(place, token, authority string) (*Client, error) {
	parts, err := url.Parse(place)
	if err != nil || parts.Scheme != "https" || parts.Hostname() == "" || parts.Port() == "" {
		return nil, fmt.Errorf("%q is not the control server's address: write https://ADDRESS:PORT", place)
	}
	return &Client{channel: NewChannel(parts.Host, authority), token: token}, nil
}

// Connect makes sure that there is a connection: what a poll tells should be so when it is told.
func (c *Client) Connect(ctx context.Context) error { return c.channel.Connect(ctx) }

// Poll tells the state, on a connection that is there, and returns an order, nil if there is none that is newer.
func (c *Client) Poll(ctx context.Context, state State) (*order.Order, error) {
	ctx, cancel := context.WithTimeout(ctx, hold+grace)
	defer cancel()
	// For each request: the kubelet renews it long before it ends.
	token, err := os.ReadFile(c.token)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(poll{
		protocol, state.Version, state.AgentUID, state.Started, state.Refused, state.Inside, hold.Seconds(),
	})
	if err != nil {
		return nil, err
	}
	answer, err := c.channel.Post(ctx, path, strings.TrimSpace(string(token)), body)
	if err != nil {
		return nil, err
	}
	return c.take(answer, token)
}

func (c *Client) take(answer *Answer, token []byte) (*order.Order, error) {
	switch answer.Status {
	case 200:
		found, err := order.Decode(answer.Body)
		if err != nil {
			return nil, &MalformedError{versionOf(answer.Body), err}
		}
		return found, nil
	case 204:
		return nil, nil
	}
	c.refused = sha256.Sum256(token)
	return nil, &StatusError{answer.Status, answer.RetryAfter}
}

// Close ends the connection.
func (c *Client) Close() { c.channel.Close() }

// versionOf returns what an order that is not understood calls itself, so that it need not come again.
func versionOf(body []byte) string {
	var found struct {
		Version string `json:"version"`
	}
	_ = json.Unmarshal(body, &found)
	return found.Version
}

// Pause waits as long as is becoming after that many failures in a row, of which `err` is the last.
func (c *Client) Pause(ctx context.Context, failures int, err error) {
	var status *StatusError
	isStatus := errors.As(err, &status)
	if isStatus && status.IsFinal() {
		c.anotherToken(ctx)
		return
	}
	wait := delay(failures, errors.Is(err, syscall.ECONNREFUSED))
	if isStatus {
		wait = max(wait, status.RetryAfter)
	}
	pause(ctx, wait)
}

// anotherToken waits until the token's file has changed, for a while.
func (c *Client) anotherToken(ctx context.Context) {
	end := time.Now().Add(spread(final))
	for time.Now().Before(end) && ctx.Err() == nil {
		pause(ctx, tokenPause)
		if token, err := os.ReadFile(c.token); err == nil && sha256.Sum256(token) != c.refused {
			return
		}
	}
}

// delay returns the time until the next try: exponential, spread over the half of it and the whole.
func delay(failures int, isQuick bool) time.Duration {
	if isQuick && failures <= quickTries {
		return 10*time.Millisecond + rand.N(40*time.Millisecond)
	}
	return spread(min(longestDelay, firstDelay<<min(failures, 16)))
}

func spread(longest time.Duration) time.Duration { return longest/2 + rand.N(longest/2) }

func pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
