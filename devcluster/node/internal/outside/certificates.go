package outside

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const certificateLife = 365 * 24 * time.Hour

// mint makes a certificate for each name when it is first asked for.
type mint struct {
	authority *x509.Certificate
	signer    any
	key       *ecdsa.PrivateKey // one for all: what differs between certificates is the name
	names     *Names
	addresses []netip.Addr
	made      sync.Map // name: *tls.Certificate
}

func newMint(certificate, key string, names *Names, addresses []netip.Addr) (*mint, error) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &mint{authority: pair.Leaf, signer: pair.PrivateKey, key: own, names: names, addresses: addresses}, nil
}

// config makes every connection a full handshake, without the post-quantum key exchange that not every client has.
func (m *mint) config() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		NextProtos:             []string{"http/1.1"},
		CurvePreferences:       []tls.CurveID{tls.X25519, tls.CurveP256},
		SessionTicketsDisabled: true,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return m.certificate(strings.ToLower(hello.ServerName))
		},
	}
}

// certificate returns the name's own; a name that is not in the table, or none, gets one for the addresses.
func (m *mint) certificate(name string) (*tls.Certificate, error) {
	if _, found := m.names.Find(name); !found {
		name = ""
	}
	if made, ok := m.made.Load(name); ok {
		return made.(*tls.Certificate), nil
	}
	made, err := m.sign(name)
	if err != nil {
		return nil, err
	}
	kept, _ := m.made.LoadOrStore(name, made)
	return kept.(*tls.Certificate), nil
}

func (m *mint) sign(name string) (*tls.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "outside"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if name != "" {
		template.DNSNames = []string{name}
	} else {
		for _, address := range m.addresses {
			template.IPAddresses = append(template.IPAddresses, net.IP(address.AsSlice()))
		}
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, m.authority, m.key.Public(), m.signer)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(signed)
	return &tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: m.key, Leaf: leaf}, err
}
