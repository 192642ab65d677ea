package outside

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/miekg/dns"
)

const (
	chunkSize   = 256 << 10
	streamEvery = 200 * time.Millisecond
	dnsMessage  = "application/dns-message"
)

type connKey struct{}

// web answers requests; what it answers says how the request came.
type web struct {
	resolver *resolver
	sites    map[string]http.Handler
}

type seen struct {
	Server   string      `json:"server"`
	Port     uint16      `json:"port"`
	SNI      string      `json:"sni"`
	Host     string      `json:"host"`
	Method   string      `json:"method"`
	Path     string      `json:"path"`
	Peer     string      `json:"peer"`
	Received int64       `json:"received"`
	Headers  http.Header `json:"headers"`
}

func newWeb(resolver *resolver, directories map[string]string) *web {
	sites := map[string]http.Handler{}
	for host, directory := range directories {
		sites[host] = http.FileServer(http.Dir(directory))
	}
	return &web{resolver, sites}
}

func (w *web) server() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/slow", w.slow)
	mux.HandleFunc("/stream", w.stream)
	mux.HandleFunc("/bytes", w.bytes)
	mux.HandleFunc("/dns-query", w.dns)
	mux.HandleFunc("/", w.mirror)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:   w.bySite(mux),
		Protocols: protocols,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, conn)
		},
	}
}

// bySite gives a host that has files its files.
func (w *web) bySite(rest http.Handler) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		host := request.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if site, ok := w.sites[plain(host)]; ok {
			site.ServeHTTP(writer, request)
			return
		}
		rest.ServeHTTP(writer, request)
	})
}

// mirror says what has arrived.
func (w *web) mirror(writer http.ResponseWriter, request *http.Request) {
	received, _ := io.Copy(io.Discard, request.Body)
	v := request.Context().Value(connKey{}).(*visitor)
	server := portOf(v.LocalAddr())
	body, _ := json.Marshal(seen{
		Server: server.Addr().String(), Port: server.Port(), SNI: v.sni, Host: request.Host, Method: request.Method,
		Path: request.URL.RequestURI(), Peer: hostOf(v.RemoteAddr()), Received: received, Headers: request.Header,
	})
	writer.Header().Set("Content-Type", "application/json")
	writer.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	_, _ = writer.Write(append(body, '\n'))
}

// slow says it after some seconds.
func (w *web) slow(writer http.ResponseWriter, request *http.Request) {
	select {
	case <-time.After(seconds(request)):
		w.mirror(writer, request)
	case <-request.Context().Done():
	}
}

// stream sends a line every so often, for some seconds.
func (w *web) stream(writer http.ResponseWriter, request *http.Request) {
	writer.Header().Set("Content-Type", "text/plain")
	ticker := time.NewTicker(streamEvery)
	defer ticker.Stop()
	begun := time.Now()
	for number := 0; time.Since(begun) < seconds(request); number++ {
		if _, err := fmt.Fprintf(writer, "%d\n", number); err != nil {
			return
		}
		_ = http.NewResponseController(writer).Flush()
		select {
		case <-ticker.C:
		case <-request.Context().Done():
			return
		}
	}
}

// bytes sends n zero bytes.
func (w *web) bytes(writer http.ResponseWriter, request *http.Request) {
	left, err := strconv.ParseInt(request.URL.Query().Get("n"), 10, 64)
	if err != nil || left < 0 {
		http.Error(writer, "say how many: /bytes?n=1000", http.StatusBadRequest)
		return
	}
	writer.Header().Set("Content-Type", "application/octet-stream")
	writer.Header().Set("Content-Length", strconv.FormatInt(left, 10))
	for left > 0 {
		size := min(left, chunkSize)
		if _, err := writer.Write(zeros[:size]); err != nil {
			return
		}
		left -= size
	}
}

var zeros [chunkSize]byte

// dns is DNS over HTTPS (RFC 8484).
func (w *web) dns(writer http.ResponseWriter, request *http.Request) {
	packed, err := io.ReadAll(io.LimitReader(request.Body, dns.MaxMsgSize))
	if request.Method == http.MethodGet {
		packed, err = base64.RawURLEncoding.DecodeString(request.URL.Query().Get("dns"))
	}
	message := new(dns.Msg)
	if err != nil || message.Unpack(packed) != nil {
		http.Error(writer, "no DNS message", http.StatusBadRequest)
		return
	}
	v := request.Context().Value(connKey{}).(*visitor)
	answer, err := w.resolver.answer(message, hostOf(v.RemoteAddr()), "https").Pack()
	if err != nil {
		http.Error(writer, err.Error(), http.StatusInternalServerError)
		return
	}
	writer.Header().Set("Content-Type", dnsMessage)
	_, _ = writer.Write(answer)
}

func seconds(request *http.Request) time.Duration {
	count, err := strconv.ParseFloat(request.URL.Query().Get("seconds"), 64)
	if err != nil {
		count = 1
	}
	return time.Duration(count * float64(time.Second))
}
