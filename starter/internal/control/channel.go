// Package control is the starter's end of the control channel: polls over HTTPS, on one connection that is kept.
//
// It speaks the little of HTTP/1.1 that this takes (RFC 9112), as the sidecar does: answers of known length, one at a
// time, on a connection that can be broken off. net/http would add a fifth to the program, and half a MiB to each pod.
package control

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// serverName is in the control server's certificate, whatever address it is reached at.
	serverName     = "ringfence-control"
	connectTimeout = 5 * time.Second
	longestHead    = 16 << 10
	longestBody    = 8 << 20
)

// Answer is what a request was answered; RetryAfter is 0 if nothing was said of it.
type Answer struct {
	Status     int
	Body       []byte
	RetryAfter time.Duration
}

// Channel is a connection to one server, made when it is needed. After an error it is closed.
type Channel struct {
	place     string
	authority string
	stream    *tls.Conn
	reader    *bufio.Reader
}

// NewChannel returns a channel to host:port, whose certificate is from the authority in that file (PEM). The file is
// read for each connection: authorities rotate.
func NewChannel(place, authority string) *Channel {
	return &Channel{place: place, authority: authority}
}

// Post returns the answer to a POST of JSON, on a connection that is there. It takes until the context ends at most.
func (c *Channel) Post(ctx context.Context, path, token string, body []byte) (*Answer, error) {
	if c.stream == nil {
		return nil, errors.New("there is no connection")
	}
	// What waits in a read does not look at contexts.
	stop := context.AfterFunc(ctx, c.interrupt(c.stream))
	defer stop()
	answer, isKept, err := c.exchange(path, token, body)
	if !isKept || err != nil {
		c.Close()
	}
	return answer, errors.Join(err, ctx.Err())
}

func (c *Channel) interrupt(stream *tls.Conn) func() {
	return func() { _ = stream.SetDeadline(time.Unix(1, 0)) }
}

// Close closes the connection, if there is one.
func (c *Channel) Close() {
	if c.stream != nil {
		_ = c.stream.NetConn().Close() // without a farewell, which would wait for a server that does not answer
	}
	c.stream, c.reader = nil, nil
}

// Connect makes the connection, if there is none.
func (c *Channel) Connect(ctx context.Context) error {
	if c.stream != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	pem, err := os.ReadFile(c.authority)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate in PEM", c.authority)
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.place)
	if err != nil {
		return err
	}
	stream := tls.Client(connection, &tls.Config{RootCAs: roots, ServerName: serverName, MinVersion: tls.VersionTLS13})
	if err := stream.HandshakeContext(ctx); err != nil {
		_ = connection.Close()
		return err
	}
	c.stream, c.reader = stream, bufio.NewReaderSize(stream, longestHead)
	return nil
}

// exchange returns the answer, and whether the connection is good for another request.
func (c *Channel) exchange(path, token string, body []byte) (*Answer, bool, error) {
	request := &bytes.Buffer{}
	fmt.Fprintf(request, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", path, serverName, token)
	fmt.Fprintf(request, "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
	request.Write(body)
	if _, err := c.stream.Write(request.Bytes()); err != nil {
		return nil, false, err
	}
	status, headers, err := c.head()
	if err != nil {
		return nil, false, err
	}
	answer := &Answer{Status: status}
	if status != 204 {
		if answer.Body, err = c.body(headers.Get("Content-Length")); err != nil {
			return nil, false, err
		}
	}
	if seconds, err := strconv.ParseUint(headers.Get("Retry-After"), 10, 16); err == nil {
		answer.RetryAfter = time.Duration(seconds) * time.Second
	}
	return answer, !strings.EqualFold(headers.Get("Connection"), "close"), nil
}

func (c *Channel) head() (int, textproto.MIMEHeader, error) {
	head := &bytes.Buffer{}
	for !bytes.HasSuffix(head.Bytes(), []byte("\r\n\r\n")) {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return 0, nil, err
		}
		if head.Write(line); head.Len() > longestHead {
			return 0, nil, errors.New("the answer's head is too long")
		}
	}
	reader := textproto.NewReader(bufio.NewReader(head))
	first, err := reader.ReadLine()
	if err != nil {
		return 0, nil, err
	}
	version, rest, _ := strings.Cut(first, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if version != "HTTP/1.1" || err != nil || len(code) != 3 {
		return 0, nil, errors.New("the answer is not one of HTTP/1.1")
	}
	headers, err := reader.ReadMIMEHeader()
	return status, headers, err
}

func (c *Channel) body(length string) ([]byte, error) {
	size, err := strconv.ParseUint(length, 10, 32)
	if err != nil || size > longestBody {
		return nil, errors.New("the answer does not say its length, or is too long")
	}
	content := make([]byte, size)
	_, err = io.ReadFull(c.reader, content)
	return content, err
}
