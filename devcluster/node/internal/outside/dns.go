package outside

import (
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const negativeTTL = 1

// resolver answers DNS from the names. It knows no others, and asks nobody.
type resolver struct {
	names *Names
	log   *journal
}

type query struct {
	Time      float64 `json:"time"`
	Source    string  `json:"source"`
	Name      string  `json:"qname"`
	Type      string  `json:"qtype"`
	Transport string  `json:"transport"`
}

// by returns a handler that writes down each question with the way it came.
func (r *resolver) by(transport string) dns.HandlerFunc {
	return func(writer dns.ResponseWriter, request *dns.Msg) {
		answer := r.answer(request, hostOf(writer.RemoteAddr()), transport)
		if transport == "udp" {
			answer.Truncate(room(request))
		}
		_ = writer.WriteMsg(answer)
	}
}

// answer logs every question first, so that who has an answer finds the question in the log.
func (r *resolver) answer(request *dns.Msg, source, transport string) *dns.Msg {
	for _, question := range request.Question {
		r.log.write(query{now(), source, plain(question.Name), dns.Type(question.Qtype).String(), transport})
	}
	reply := new(dns.Msg).SetReply(request)
	reply.Authoritative = true
	if option := request.IsEdns0(); option != nil {
		reply.SetEdns0(4096, false)
	}
	if len(request.Question) != 1 || request.Opcode != dns.OpcodeQuery {
		reply.Rcode = dns.RcodeFormatError
		return reply
	}
	r.fill(reply, request.Question[0])
	return reply
}

func (r *resolver) fill(reply *dns.Msg, question dns.Question) {
	owner, name := question.Name, plain(question.Name)
	for range 8 { // a CNAME may lead to another
		entry, found := r.names.Find(name)
		if !found && !r.names.Exists(name) {
			reply.Rcode = dns.RcodeNameError
		}
		if entry.Alias == "" {
			reply.Answer = append(reply.Answer, r.records(owner, name, entry, question.Qtype)...)
			break
		}
		target := dns.Fqdn(entry.Alias)
		reply.Answer = append(reply.Answer, &dns.CNAME{Hdr: header(owner, dns.TypeCNAME, entry.TTL), Target: target})
		if question.Qtype == dns.TypeCNAME {
			break
		}
		owner, name = target, entry.Alias
	}
	if len(reply.Answer) == 0 {
		reply.Ns = []dns.RR{authority()}
	}
}

func (r *resolver) records(owner, name string, entry Entry, kind uint16) []dns.RR {
	var records []dns.RR
	addresses := map[uint16]func(netip.Addr) dns.RR{
		dns.TypeA: func(ip netip.Addr) dns.RR {
			return &dns.A{Hdr: header(owner, dns.TypeA, entry.TTL), A: ip.AsSlice()}
		},
		dns.TypeAAAA: func(ip netip.Addr) dns.RR {
			return &dns.AAAA{Hdr: header(owner, dns.TypeAAAA, entry.TTL), AAAA: ip.AsSlice()}
		},
	}
	for _, wanted := range []uint16{dns.TypeA, dns.TypeAAAA} {
		if kind != wanted && kind != dns.TypeANY {
			continue
		}
		for _, ip := range r.names.Turn(name, entry, dns.Type(wanted).String()) {
			if ip.Is4() == (wanted == dns.TypeA) {
				records = append(records, addresses[wanted](ip))
			}
		}
	}
	if entry.Text != "" && (kind == dns.TypeTXT || kind == dns.TypeANY) {
		records = append(records, &dns.TXT{Hdr: header(owner, dns.TypeTXT, entry.TTL), Txt: []string{entry.Text}})
	}
	return records
}

// servers returns one server per resolver address and transport, and one for DNS over TLS.
func (r *resolver) servers(addresses []netip.Addr, tls net.Listener) []*dns.Server {
	// What is odd is answered, too: the log must have it.
	accept := func(header dns.Header) dns.MsgAcceptAction {
		if header.Bits&(1<<15) != 0 {
			return dns.MsgIgnore
		}
		return dns.MsgAccept
	}
	servers := []*dns.Server{{Listener: tls, Handler: r.by("tls"), MsgAcceptFunc: accept}}
	for _, address := range addresses {
		at := netip.AddrPortFrom(address, 53).String()
		for _, transport := range []string{"udp", "tcp"} {
			servers = append(servers, &dns.Server{
				Addr: at, Net: transport, Handler: r.by(transport), MsgAcceptFunc: accept,
			})
		}
	}
	return servers
}

func header(owner string, kind uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
}

// authority is the SOA record that says how long a negative answer may be kept.
func authority() dns.RR {
	return &dns.SOA{
		Hdr: header("test.", dns.TypeSOA, negativeTTL), Ns: "dns.test.", Mbox: "nobody.test.",
		Serial: 1, Refresh: 60, Retry: 60, Expire: 60, Minttl: negativeTTL,
	}
}

// room returns how large an answer by UDP may be.
func room(request *dns.Msg) int {
	if option := request.IsEdns0(); option != nil {
		return int(option.UDPSize())
	}
	return dns.MinMsgSize
}

func plain(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

func now() float64 {
	return float64(time.Now().UnixMicro()) / 1e6
}
