package outside

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// quiet is how long nothing has to come until the gullible server answers; longer than a client's pause.
const quiet = 500 * time.Millisecond

var (
	requestLines = regexp.MustCompile(`(?:GET|POST|PRI) ([^ \r\n]+)`)
	hostLines    = regexp.MustCompile(`(?i)(?:^|[\r\n])[ \t]*host[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)`)
	hostsIn      = regexp.MustCompile(`[^,\s\x00]+`)
)

// gullible answers on its addresses in the place of the web. It takes for a request whatever looks like one, wherever
// it stands, so it falls for everything that some server could fall for.
type gullible []netip.Addr

type believed struct {
	Host string `json:"host,omitempty"`
	Path string `json:"path,omitempty"`
}

func (g gullible) isAt(v *visitor) bool {
	return !v.isTLS && slices.Contains(g, portOf(v.LocalAddr()).Addr())
}

func (g gullible) serve(v *visitor) {
	defer func() { _ = v.Close() }()
	var text []byte
	buffer := make([]byte, 64<<10)
	for {
		_ = v.SetReadDeadline(time.Now().Add(quiet))
		size, err := v.Read(buffer)
		text = append(text, buffer[:size]...)
		if err != nil {
			break
		}
	}
	body, _ := json.Marshal(map[string]any{"believed": believe(string(text)), "text": string(text)})
	const head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
	_, _ = fmt.Fprintf(v, head, len(body), body)
}

// believe returns each path and each host in text, and both of an absolute form; which belongs to which is not told.
func believe(text string) []believed {
	found := []believed{}
	for _, each := range requestLines.FindAllStringSubmatch(text, -1) {
		found = append(found, believed{Path: each[1]})
		if _, rest, ok := strings.Cut(each[1], "://"); ok {
			authority, _, _ := strings.Cut(rest, "/")
			found = append(found, believed{Host: authority})
		}
	}
	for _, line := range hostLines.FindAllStringSubmatch(text, -1) {
		for _, host := range hostsIn.FindAllString(line[1], -1) {
			found = append(found, believed{Host: host})
		}
	}
	return found
}
