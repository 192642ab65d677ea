package outside

import (
	"slices"
	"testing"
)

func TestTheGullibleServerBelievesEverything(t *testing.T) {
	said := map[string]believed{
		"GET /first HTTP/1.1\r\nHost: a.test\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n": {Path: "/hidden"},
		"GET /hidden\r\n": {Path: "/hidden"},
		"GET / HTTP/1.1\r\nHost: a.test, b.test\r\n\r\n":    {Host: "b.test"},
		"GET / HTTP/1.1\r\nX: a\rHost : b.test\r\n\r\n":     {Host: "b.test"},
		"GET / HTTP/1.1\r\nHost: a.test\r\n b.test\r\n\r\n": {Host: "b.test"},
		"GET / HTTP/1.1\r\nHost: b.test\x00a.test\r\n\r\n":  {Host: "b.test"},
		"GET http://a.test@b.test/ HTTP/1.1\r\n\r\n":        {Host: "a.test@b.test"},
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                  {Path: "*"},
	}
	for text, want := range said {
		if found := believe(text); !slices.Contains(found, want) {
			t.Errorf("believe(%q) = %v, without %v", text, found, want)
		}
	}
}
