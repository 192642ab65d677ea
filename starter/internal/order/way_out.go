package order

import (
	"errors"
	"net/netip"
	"strings"
)

// Place returns where the way out is reached, as host:port; it is empty where there is none.
func (o *Order) Place() (string, error) {
	if o.WayOut == "" {
		return "", nil
	}
	place, isHTTP := strings.CutPrefix(o.WayOut, "http://")
	// An address, never a name: no name resolves before the order is in force.
	if at, err := netip.ParseAddrPort(strings.TrimSuffix(place, "/")); err == nil && isHTTP && at.Port() != 0 {
		return at.String(), nil
	}
	return "", errors.New("wayOut is not http://ADDRESS:PORT")
}
