package outside

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
)

const (
	handshakeRecord = 0x16 // the first byte of a TLS connection
	dotPort         = 853
)

var methods = []string{"GET ", "HEAD ", "POST ", "PUT ", "PATCH ", "DELETE ", "OPTIONS ", "CONNECT ", "TRACE ", "PRI "}

// visitor is a connection whose first bytes have been looked at.
type visitor struct {
	net.Conn
	reader *bufio.Reader
	isTLS  bool
	sni    string
}

func (v *visitor) Read(into []byte) (int, error) { return v.reader.Read(into) }

type connection struct {
	Time   float64 `json:"time"`
	Source string  `json:"source"`
	Server string  `json:"server"`
	Port   uint16  `json:"port"`
	Kind   string  `json:"kind"` // http, https, tls, dns, echo, silent: no byte came, failed: no handshake
	SNI    string  `json:"sni"`
}

// doorman sends each connection to who speaks its language, whatever its port.
type doorman struct {
	tls      *tls.Config
	http     *queue
	dns      *queue
	log      *journal
	gullible gullible
}

func (d *doorman) serve(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go d.receive(&visitor{Conn: conn, reader: bufio.NewReader(conn)})
	}
}

func (d *doorman) receive(v *visitor) {
	first, err := v.reader.Peek(1)
	if err == nil && first[0] == handshakeRecord {
		if v, err = d.handshake(v); err != nil {
			d.note(v, "failed")
			_ = v.Close()
			return
		}
		if portOf(v.LocalAddr()).Port() == dotPort {
			first, err = v.reader.Peek(1)
		}
	}
	switch {
	case err != nil:
		d.note(v, "silent")
		_ = v.Close()
	case v.isTLS && portOf(v.LocalAddr()).Port() == dotPort && first[0] < 'A':
		d.note(v, "dns") // a length comes first, and the first half of a query's is 0
		d.dns.put(v)
	default:
		d.sort(v)
	}
}

// sort tells HTTP from the rest, which is echoed. It is noted before an answer can be sent.
func (d *doorman) sort(v *visitor) {
	plainKind, httpKind := "echo", "http"
	if v.isTLS {
		plainKind, httpKind = "tls", "https"
	}
	if speaksHTTP(v.reader) {
		d.note(v, httpKind)
		if d.gullible.isAt(v) {
			d.gullible.serve(v)
		} else {
			d.http.put(v)
		}
		return
	}
	d.note(v, plainKind)
	_, _ = io.Copy(v.Conn, v.reader)
	_ = v.Close()
}

// handshake returns the visitor inside the tunnel; if it fails, the one outside, with the name that was asked for.
func (d *doorman) handshake(v *visitor) (*visitor, error) {
	inner := tls.Server(v, d.tls)
	err := inner.Handshake()
	v.sni, v.isTLS = strings.ToLower(inner.ConnectionState().ServerName), true
	if err != nil {
		return v, err
	}
	return &visitor{Conn: inner, reader: bufio.NewReader(inner), isTLS: true, sni: v.sni}, nil
}

func (d *doorman) note(v *visitor, kind string) {
	server := portOf(v.LocalAddr())
	d.log.write(connection{now(), hostOf(v.RemoteAddr()), server.Addr().String(), server.Port(), kind, v.sni})
}

// speaksHTTP waits for no more bytes than it takes to tell.
func speaksHTTP(reader *bufio.Reader) bool {
	for length := 1; ; length++ {
		seen, err := reader.Peek(length)
		if err != nil {
			return false
		}
		maybe := false
		for _, method := range methods {
			if strings.HasPrefix(string(seen), method) {
				return true
			}
			maybe = maybe || strings.HasPrefix(method, string(seen))
		}
		if !maybe {
			return false
		}
	}
}

// queue is a listener that others put connections into.
type queue struct {
	waiting chan net.Conn
	closed  chan struct{}
}

func newQueue() *queue { return &queue{make(chan net.Conn), make(chan struct{})} }

func (q *queue) put(conn net.Conn) {
	select {
	case q.waiting <- conn:
	case <-q.closed:
		_ = conn.Close()
	}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.waiting:
		return conn, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	close(q.closed)
	return nil
}

func (q *queue) Addr() net.Addr { return &net.TCPAddr{} }
