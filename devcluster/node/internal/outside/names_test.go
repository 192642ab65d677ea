package outside

import (
	"net/netip"
	"testing"
)

func addresses(texts ...string) []netip.Addr {
	var found []netip.Addr
	for _, text := range texts {
		found = append(found, netip.MustParseAddr(text))
	}
	return found
}

func entry(texts ...string) Entry {
	return Entry{Answers: [][]netip.Addr{addresses(texts...)}, TTL: 60}
}

var table = map[string]Entry{
	"api.test":           entry("203.0.113.11"),
	"*.wild.test":        entry("203.0.113.13"),
	"own.wild.test":      entry("203.0.113.14"),
	"dual.test":          entry("203.0.113.16", "2001:db8::16"),
	"private-first.test": entry("10.66.0.1", "203.0.113.19"),
	"alias.test":         {Alias: "api.test"},
	"lost.test":          {Alias: "nowhere.test"},
	"tunnel.test":        {Text: "carried out"},
	"*.flip.test":        {Answers: [][]netip.Addr{addresses("203.0.113.19"), addresses("10.66.0.1")}},
}

func TestAWildcardCoversEveryDepthBelowItAndNotItself(t *testing.T) {
	names := NewNames(table)
	for name, want := range map[string]string{
		"a.wild.test": "203.0.113.13", "x.y.wild.test": "203.0.113.13", "own.wild.test": "203.0.113.14", "wild.test": "",
		"10-1-2-3.ip.test": "10.1.2.3", "2001-db8--10.ip6.test": "2001:db8::10", "nonsense.ip.test": "", "ip.test": "",
	} {
		found, ok := names.Find(name)
		if ok != (want != "") || ok && found.Answers[0][0].String() != want {
			t.Errorf("%s: %v, want %q", name, found.Answers, want)
		}
	}
}

func TestEachNameTakesItsOwnTurns(t *testing.T) {
	names := NewNames(table)
	var got string
	for _, name := range []string{"a.flip.test", "a.flip.test", "b.flip.test", "a.flip.test"} {
		found, _ := names.Find(name)
		got += names.Turn(name, found, "A")[0].String() + " "
	}
	if want := "203.0.113.19 10.66.0.1 203.0.113.19 203.0.113.19 "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
