// Package outside has the servers that stand for the Internet in tests: DNS, TLS and HTTP, by names of a table.
package outside

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
)

// Config says what there is outside. devcluster/outside.py writes it.
type Config struct {
	// Names maps a name, or a wildcard for everything below one, to its records.
	Names map[string]Entry `json:"names"`
	// Addresses are those that UDP is echoed on, and that the certificate for clients without SNI names.
	Addresses []netip.Addr `json:"addresses"`
	// Resolvers are the addresses that answer DNS, on port 53.
	Resolvers []netip.Addr `json:"resolvers"`
	// TCPPorts are served on every address: TLS, HTTP, or whatever comes first.
	TCPPorts []uint16 `json:"tcpPorts"`
	// UDPPorts send back what they get.
	UDPPorts []uint16 `json:"udpPorts"`
	// Gullible are the addresses whose plain HTTP is taken for whatever it could be read as.
	Gullible []netip.Addr `json:"gullible"`
	// Sites maps a host to a directory of files.
	Sites map[string]string `json:"sites"`
	// Certificate and Key are the files of the authority.
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	// QueryLog and ConnectionLog get one JSON object a line.
	QueryLog      string `json:"queryLog"`
	ConnectionLog string `json:"connectionLog"`
}

// Entry is what there is to know about a name.
type Entry struct {
	// Answers are the addresses, in order; of several lists, each query gets the next.
	Answers [][]netip.Addr `json:"answers,omitempty"`
	// Alias is the name that this one is a CNAME of.
	Alias string `json:"alias,omitempty"`
	Text  string `json:"text,omitempty"`
	TTL   uint32 `json:"ttl"`
}

// Load reads a Config.
func Load(path string) (Config, error) {
	var config Config
	text, err := os.ReadFile(path)
	if err != nil {
		return config, err
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return config, fmt.Errorf("%s: %w", path, err)
	}
	return config, nil
}
