package control

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// peer answers each request with the next of the texts, on as many connections as are made; it counts these.
type peer struct {
	place     string
	authority string
	made      chan struct{}
}

func newPeer(t *testing.T, texts ...string) *peer {
	t.Helper()
	certificate, encoded := issued(t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	p := &peer{listener.Addr().String(), filepath.Join(t.TempDir(), "ca.crt"), make(chan struct{}, 100)}
	if err := os.WriteFile(p.authority, encoded, 0o600); err != nil {
		t.Fatal(err)
	}
	next := make(chan string, len(texts))
	for _, each := range texts {
		next <- each
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			p.made <- struct{}{}
			go answer(connection, next)
		}
	}()
	return p
}

func answer(connection net.Conn, next <-chan string) {
	defer connection.Close()
	for reader := bufio.NewReader(connection); ; {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		request.Body.Close()
		if _, err := connection.Write([]byte(<-next)); err != nil {
			return
		}
	}
}

func issued(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{serverName}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	made, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made})
	return tls.Certificate{Certificate: [][]byte{made}, PrivateKey: key}, encoded
}

func post(ctx context.Context, channel *Channel) (*Answer, error) {
	if err := channel.Connect(ctx); err != nil {
		return nil, err
	}
	return channel.Post(ctx, "/", "token", []byte("{}"))
}

const empty = "HTTP/1.1 204 No Content\r\n\r\n"

func TestOneConnectionServesManyPollsUntilTheServerClosesIt(t *testing.T) {
	p := newPeer(t, empty, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
		"HTTP/1.1 503 Away\r\nContent-Length: 0\r\nRetry-After: 7\r\nConnection: close\r\n\r\n", empty)
	channel := NewChannel(p.place, p.authority)
	defer channel.Close()
	found := []int{}

	for range 4 {
		each, err := post(t.Context(), channel)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, each.Status)
		if each.Status == 503 && each.RetryAfter != 7*time.Second {
			t.Errorf("retry after %s", each.RetryAfter)
		}
	}

	if len(p.made) != 2 || found[0] != 204 || found[1] != 200 || found[2] != 503 || found[3] != 204 {
		t.Errorf("%d connections, answers %v", len(p.made), found)
	}
}

func TestWhatIsNoAnswerOfTheControlServersIsAnErrorAndEndsTheConnection(t *testing.T) {
	for name, text := range map[string]string{
		"no HTTP":        "SSH-2.0-x\r\n\r\n",
		"HTTP/1.0":       "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"no status":      "HTTP/1.1 OK\r\n\r\n",
		"no length":      "HTTP/1.1 200 OK\r\n\r\n",
		"chunks":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a long body":    "HTTP/1.1 200 OK\r\nContent-Length: 8388609\r\n\r\n",
		"a negative one": "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"a long line":    "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 20_000) + "\r\n\r\n",
		"a long head":    "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: xxxxxxxxxxxxxxxx\r\n", 2_000) + "\r\n",
	} {
		p := newPeer(t, text)
		channel := NewChannel(p.place, p.authority)

		_, err := post(t.Context(), channel)

		if err == nil || errors.Is(err, context.DeadlineExceeded) || channel.stream != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAServerThatDoesNotAnswerIsGivenUpInTime(t *testing.T) {
	p := newPeer(t)
	channel := NewChannel(p.place, p.authority)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()

	begun := time.Now()
	_, err := post(ctx, channel)

	if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took > 5*time.Second {
		t.Errorf("%v after %s", err, took)
	}
}

func TestTheAuthorityIsReadForEachConnection(t *testing.T) {
	p := newPeer(t, empty)
	channel := NewChannel(p.place, p.authority)
	former, err := os.ReadFile(p.authority)
	if err != nil {
		t.Fatal(err)
	}
	_, other := issued(t)
	if err := os.WriteFile(p.authority, other, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := post(t.Context(), channel); err == nil {
		t.Error("a certificate of another authority was taken")
	}

	if err := os.WriteFile(p.authority, former, 0o600); err != nil {
		t.Fatal(err)
	}

	if _, err := post(t.Context(), channel); err != nil {
		t.Error(err)
	}
}

func TestDelaysGrowToTenSecondsAndAreSpread(t *testing.T) {
	for failures, longest := range map[int]time.Duration{1: 400 * time.Millisecond, 4: 3200 * time.Millisecond, 99: longestDelay} {
		if found := delay(failures, false); found < longest/2 || found > longest {
			t.Errorf("after %d failures: %s", failures, found)
		}
	}
	if found := delay(1, true); found > 50*time.Millisecond {
		t.Errorf("another replica is tried after %s", found)
	}
	if found := delay(quickTries+1, true); found < time.Second {
		t.Errorf("nobody is there, and tried after %s", found)
	}
}

func TestAnAddressThatIsNoneIsRefusedWithWhatToWrite(t *testing.T) {
	for _, place := range []string{"", "10.0.0.1:18443", "http://10.0.0.1:18443", "https://10.0.0.1", "https://:18443"} {
		if _, err := NewClient(place, "", ""); err == nil || !strings.Contains(err.Error(), "write https://ADDRESS:PORT") {
			t.Errorf("%q: %v", place, err)
		}
	}
	if _, err := NewClient("https://[fd00::1]:18443", "", ""); err != nil {
		t.Error(err)
	}
}
