package outside

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func newResolver(t *testing.T) (*resolver, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queries.jsonl")
	log, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.file.Close() })
	return &resolver{NewNames(table), log}, path
}

// said returns the code and the data of the answer's records.
func said(answer *dns.Msg) string {
	words := []string{dns.RcodeToString[answer.Rcode]}
	for _, record := range answer.Answer {
		words = append(words, strings.TrimPrefix(record.String(), record.Header().String()))
	}
	return strings.Join(words, " ")
}

func TestAnswers(t *testing.T) {
	resolver, _ := newResolver(t)
	for _, c := range []struct {
		name string
		kind uint16
		want string
	}{
		{"api.test.", dns.TypeA, "NOERROR 203.0.113.11"},
		{"API.Test.", dns.TypeA, "NOERROR 203.0.113.11"},
		{"api.test.", dns.TypeAAAA, "NOERROR"},
		{"dual.test.", dns.TypeAAAA, "NOERROR 2001:db8::16"},
		{"dual.test.", dns.TypeANY, "NOERROR 203.0.113.16 2001:db8::16"},
		{"private-first.test.", dns.TypeA, "NOERROR 10.66.0.1 203.0.113.19"},
		{"alias.test.", dns.TypeA, "NOERROR api.test. 203.0.113.11"},
		{"alias.test.", dns.TypeCNAME, "NOERROR api.test."},
		{"lost.test.", dns.TypeA, "NXDOMAIN nowhere.test."},
		{"tunnel.test.", dns.TypeTXT, `NOERROR "carried out"`},
		{"wild.test.", dns.TypeA, "NOERROR"},
		{"nowhere.test.", dns.TypeA, "NXDOMAIN"},
	} {
		answer := resolver.answer(new(dns.Msg).SetQuestion(c.name, c.kind), "10.0.0.1", "udp")
		if got := said(answer); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.name, dns.Type(c.kind), got, c.want)
		}
	}
}

func TestEveryQuestionIsInTheLogWhenTheAnswerIsThere(t *testing.T) {
	resolver, path := newResolver(t)
	request := new(dns.Msg).SetQuestion("Nowhere.test.", dns.TypeTXT)
	request.Question = append(request.Question, dns.Question{Name: "api.test.", Qtype: dns.TypeA, Qclass: dns.ClassINET})

	answer := resolver.answer(request, "10.0.0.1", "tcp")

	log, _ := os.ReadFile(path)
	for _, want := range []string{
		`"source":"10.0.0.1","qname":"nowhere.test","qtype":"TXT","transport":"tcp"}`,
		`"source":"10.0.0.1","qname":"api.test","qtype":"A","transport":"tcp"}`,
	} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	if answer.Rcode != dns.RcodeFormatError {
		t.Errorf("two questions in one packet: %s", dns.RcodeToString[answer.Rcode])
	}
}

func TestALongAnswerByUDPIsCutAndSaysSo(t *testing.T) {
	var many []string
	for range 40 {
		many = append(many, "203.0.113.11")
	}
	resolver, _ := newResolver(t)
	resolver.names = NewNames(map[string]Entry{"many.test": entry(many...)})
	request := new(dns.Msg).SetQuestion("many.test.", dns.TypeA)

	answer := resolver.answer(request, "10.0.0.1", "udp")
	answer.Truncate(room(request))

	if !answer.Truncated || answer.Len() > dns.MinMsgSize {
		t.Errorf("%d bytes, truncated: %v", answer.Len(), answer.Truncated)
	}
}
