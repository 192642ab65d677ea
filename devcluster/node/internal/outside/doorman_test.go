package outside

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// world is a doorman on a port of the loopback address.
type world struct {
	address     string
	roots       *x509.CertPool
	connections string
}

func newWorld(t *testing.T) world {
	t.Helper()
	dir := t.TempDir()
	certificate := writeAuthority(t, dir)
	resolver, _ := newResolver(t)
	mint, err := newMint(dir+"/ca.crt", dir+"/ca.key", resolver.names, addresses("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := openJournal(filepath.Join(dir, "connections.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	door := &doorman{tls: mint.config(), http: newQueue(), dns: newQueue(), log: log}
	server := newWeb(resolver, map[string]string{"files.test": dir}).server()
	go func() { _ = server.Serve(door.http) }()
	go func() { _ = door.serve(listener) }()
	t.Cleanup(func() { listener.Close(); server.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return world{listener.Addr().String(), roots, log.file.Name()}
}

func writeAuthority(t *testing.T, dir string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	packed, _ := x509.MarshalPKCS8PrivateKey(key)
	for name, block := range map[string]*pem.Block{
		"ca.crt": {Type: "CERTIFICATE", Bytes: signed}, "ca.key": {Type: "PRIVATE KEY", Bytes: packed},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate, _ := x509.ParseCertificate(signed)
	return certificate
}

// get fetches a URL from the doorman, whatever its host.
func (w world) get(t *testing.T, url string) string {
	t.Helper()
	transport := &http.Transport{
		Dial:              func(string, string) (net.Conn, error) { return net.Dial("tcp", w.address) },
		TLSClientConfig:   &tls.Config{RootCAs: w.roots},
		DisableKeepAlives: true,
	}
	answer, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestTheAnswerSaysHowTheRequestCame(t *testing.T) {
	w := newWorld(t)
	for url, want := range map[string]seen{
		"http://api.test/x?y=1":  {Host: "api.test", Path: "/x?y=1"},
		"https://api.test/":      {Host: "api.test", Path: "/", SNI: "api.test"},
		"https://a.wild.test/":   {Host: "a.wild.test", Path: "/", SNI: "a.wild.test"},
		"https://a.b.flip.test/": {Host: "a.b.flip.test", Path: "/", SNI: "a.b.flip.test"},
		"https://127.0.0.1/":     {Host: "127.0.0.1", Path: "/"},
	} {
		var got seen
		if err := json.Unmarshal([]byte(w.get(t, url)), &got); err != nil {
			t.Fatal(err)
		}
		if got.Host != want.Host || got.Path != want.Path || got.SNI != want.SNI || got.Peer != "127.0.0.1" {
			t.Errorf("%s: %+v", url, got)
		}
	}
}

func TestANameThatIsNotInTheTableGetsNoCertificateOfItsOwn(t *testing.T) {
	w := newWorld(t)

	_, err := tls.Dial("tcp", w.address, &tls.Config{RootCAs: w.roots, ServerName: "nowhere.test"})

	if err == nil || !strings.Contains(err.Error(), "nowhere.test") {
		t.Errorf("handshake: %v", err)
	}
}

func TestAHostWithFilesServesThem(t *testing.T) {
	w := newWorld(t)

	if got := w.get(t, "http://files.test/ca.crt"); !strings.HasPrefix(got, "-----BEGIN CERTIFICATE") {
		t.Errorf("got %q", got)
	}
}

func TestSomeBytesAndALittleLater(t *testing.T) {
	w := newWorld(t)

	got := w.get(t, "http://api.test/bytes?n=600000")
	begun := time.Now()
	w.get(t, "http://api.test/slow?seconds=0.05")

	if len(got) != 600000 || time.Since(begun) < 50*time.Millisecond {
		t.Errorf("%d bytes; slow took %s", len(got), time.Since(begun))
	}
	if got := w.get(t, "http://api.test/stream?seconds=0.3"); got != "0\n1\n" {
		t.Errorf("stream: %q", got)
	}
}

func TestWhatIsNoRequestComesBack(t *testing.T) {
	w := newWorld(t)
	for _, sent := range []string{"hello", "GETAWAY", "\x00\x01", "P"} {
		conn, err := net.Dial("tcp", w.address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, sent)
		_ = conn.(*net.TCPConn).CloseWrite()
		got, _ := io.ReadAll(conn)
		if string(got) != sent {
			t.Errorf("sent %q, got %q", sent, got)
		}
		conn.Close()
	}
}

func TestEveryConnectionIsInTheLogWithItsKind(t *testing.T) {
	w := newWorld(t)
	w.get(t, "https://api.test/")
	w.get(t, "http://api.test/")
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "hello")
	_, _ = io.ReadFull(conn, make([]byte, 5))
	conn.Close()

	log, _ := os.ReadFile(w.connections)
	var kinds []string
	for line := range strings.Lines(string(log)) {
		var entry connection
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, entry.Kind+entry.SNI)
	}
	if got := strings.Join(kinds, " "); got != "httpsapi.test http echo" {
		t.Errorf("log: %s", got)
	}
}
