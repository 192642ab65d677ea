package outside

import (
	"encoding/json"
	"net"
	"net/netip"
	"os"
)

// journal is a file of JSON lines; a line is there, whole, when write returns.
type journal struct {
	file *os.File
}

func openJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	return &journal{file}, err
}

func (j *journal) write(entry any) {
	line, err := json.Marshal(entry)
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if err != nil {
		panic(err) // a test would take a missing line for a missing query
	}
}

func hostOf(address net.Addr) string {
	return portOf(address).Addr().String()
}

// portOf returns address and port; an IPv4 address is never shown in the form of IPv6.
func portOf(address net.Addr) netip.AddrPort {
	parsed, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(parsed.Addr().Unmap().WithZone(""), parsed.Port())
}
