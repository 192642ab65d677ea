// Package test runs the programs as a pod does: real processes, files and TLS.
package test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// asked is a poll as the design has it; a field that is not in it is an error.
type asked struct {
	Protocol    int     `json:"protocol"`
	Version     string  `json:"version"`
	AgentUID    string  `json:"agentUid"`
	Started     bool    `json:"started"`
	Refused     string  `json:"refused"`
	Inside      *inside `json:"inside"`
	WaitSeconds float64 `json:"waitSeconds"`
}

type inside struct {
	Closed bool  `json:"closed"`
	WayOut *bool `json:"wayOut"`
}

type object = map[string]any

// none is the control server's answer to who holds an order, where there is none any more.
var none = object{"version": "none", "agent": nil}

// server stands in for the control server: it holds a poll until there is an order of another version.
type server struct {
	t    testing.TB
	http *httptest.Server

	mutex   sync.Mutex
	order   object
	token   string
	status  int // instead of an answer, to who waits for one, too
	polls   []asked
	changed chan struct{}
}

// authority signs certificates.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	made, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	fatal(t, err)
	certificate, err := x509.ParseCertificate(made)
	fatal(t, err)
	return &authority{key, certificate}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

func (a *authority) issue(t testing.TB, name string) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(t, err)
	made, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	fatal(t, err)
	return tls.Certificate{Certificate: [][]byte{made}, PrivateKey: key}
}

func newServer(t testing.TB, certificate tls.Certificate, lowest uint16) *server {
	t.Helper()
	s := &server{t: t, token: "token-1", changed: make(chan struct{})}
	s.http = httptest.NewUnstartedServer(s)
	s.http.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: lowest, MaxVersion: lowest}
	s.http.Config.ErrorLog = log.New(io.Discard, "", 0) // of feeders that were killed
	s.http.StartTLS()
	t.Cleanup(func() {
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

func (s *server) set(change func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *server) give(order object) { s.set(func() { s.order = order }) }

func (s *server) seen() []asked {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]asked{}, s.polls...)
}

func (s *server) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	poll, decoder := asked{}, json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&poll); err != nil || request.URL.Path != "/v1/starter/poll" || request.Method != "POST" {
		s.t.Errorf("%s %s with %s: %v", request.Method, request.URL.Path, body, err)
	}
	s.mutex.Lock()
	s.polls = append(s.polls, poll)
	isKnown := request.Header.Get("Authorization") == "Bearer "+s.token
	status := s.status
	s.mutex.Unlock()
	switch {
	case status != 0:
		writer.WriteHeader(status)
	case !isKnown:
		writer.WriteHeader(http.StatusUnauthorized)
	default:
		s.hold(writer, request, poll)
	}
}

func (s *server) hold(writer http.ResponseWriter, request *http.Request, poll asked) {
	end := time.After(time.Duration(poll.WaitSeconds * float64(time.Second)))
	for {
		s.mutex.Lock()
		order, changed, status := s.order, s.changed, s.status
		s.mutex.Unlock()
		if status != 0 {
			writer.WriteHeader(status)
			return
		}
		if order != nil && order["version"] != poll.Version {
			body, _ := json.Marshal(order)
			writer.Header().Set("Content-Length", strconv.Itoa(len(body))) // as the control server, whatever the length
			_, _ = writer.Write(body)
			return
		}
		select {
		case <-changed:
		case <-request.Context().Done():
			return
		case <-end:
			writer.WriteHeader(http.StatusNoContent)
			return
		}
	}
}

func fatal(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until `is`, for ten seconds at most.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within ten seconds: %s", what)
		}
	}
}

// put makes a file replace the former at once, as the kubelet does it.
func put(t testing.TB, path string, content []byte) {
	t.Helper()
	fatal(t, os.WriteFile(path+".new", content, 0o600))
	fatal(t, os.Rename(path+".new", path))
}

func read(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(content)
}

func at(directory, name string) string { return filepath.Join(directory, name) }
