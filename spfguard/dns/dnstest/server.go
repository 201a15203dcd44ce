// Package dnstest runs a DNS server on loopback from a zone that can change
// while it runs, and that can fail in the ways real servers do.
package dnstest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// A Failure is how the server treats a name instead of answering.
type Failure int

const (
	OK             Failure = iota // answer again
	ServFail                      // the server's own trouble
	Refused                       // not a server for this name, or not for us
	Timeout                       // no answer ever
	Truncated                     // nothing but "ask by TCP" over UDP; TCP answers
	Garbage                       // octets that are no DNS message
	NoEDNS                        // FORMERR to a query with EDNS (RFC 6891 §7)
	BareCNAME                     // a CNAME without what it leads to
	Forged                        // an answer to another question comes first
	WrongID                       // an answer to another query comes first
	Half                          // half of the octets of the answer
	TruncatedAlone                // "ask by TCP", and TCP closes the connection
)

// A Server answers by UDP and TCP as a recursive server would: whole CNAME
// chains, wildcards, NXDOMAIN apart from NODATA, an SOA with every denial.
// All methods are safe for concurrent use.
type Server struct {
	Addr string // HOST:PORT, for both UDP and TCP

	udp, tcp *dns.Server

	mu      sync.RWMutex
	zone    zone
	failing map[string]Failure
	signed  []string // names below which answers are secure
	asked   map[string]int
	total   int
	changed chan struct{} // closed at the next query
}

// Start serves zone, text in the format of a zone file with absolute names
// (a missing final dot is no harm) and 300 s where no TTL is given.
func Start(zone string) (*Server, error) { return StartAt("127.0.0.1:0", zone) }

// StartAt is Start at an address, HOST:PORT.
func StartAt(addr, zone string) (*Server, error) {
	s := &Server{failing: map[string]Failure{}, asked: map[string]int{}, changed: make(chan struct{})}
	if err := s.Replace(zone); err != nil {
		return nil, err
	}
	l, pc, err := listen(addr)
	if err != nil {
		return nil, fmt.Errorf("dnstest: %w", err)
	}
	s.Addr = l.Addr().String()
	started := make(chan struct{}, 2)
	begun := func() { started <- struct{}{} }
	s.tcp = &dns.Server{Listener: l, Handler: dns.HandlerFunc(s.serve), NotifyStartedFunc: begun}
	s.udp = &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(s.serve), NotifyStartedFunc: begun}
	for _, srv := range []*dns.Server{s.tcp, s.udp} {
		go srv.ActivateAndServe() // returns when Close closes its socket
		<-started
	}
	return s, nil
}

// A TB is the part of testing.TB that New needs; the demo, which is no test,
// does without.
type TB interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// New is Start for tests: it fails tb on error, and ends the server with tb.
func New(tb TB, zone string) *Server {
	tb.Helper()
	s, err := Start(zone)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Close stops the server and gives its port back.
func (s *Server) Close() {
	s.tcp.Shutdown()
	s.udp.Shutdown()
}

// listen takes an address for both protocols; with port 0 it finds one that is free.
func listen(addr string) (net.Listener, net.PacketConn, error) {
	var err error
	for range 20 {
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err != nil {
			return nil, nil, err
		}
		var pc net.PacketConn
		if pc, err = net.ListenPacket("udp", l.Addr().String()); err == nil {
			return l, pc, nil
		}
		l.Close()
	}
	return nil, nil, err
}

// Fail makes every question for name end as f says.
func (s *Server) Fail(name string, f Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing[fold(name)] = f
}

// Sign makes the answers for name, and for all names below it, secure: they have
// the AD bit that a validating server sets (RFC 4035 §3.2.3) when it is asked
// for. The chain of CNAMEs is secure where all its names are.
func (s *Server) Sign(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.signed = append(s.signed, fold(name))
	}
}

// secure reports whether all that an answer says was signed.
func (s *Server) secure(resp *dns.Msg) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := []string{fold(resp.Question[0].Name)}
	for _, rr := range resp.Answer {
		names = append(names, fold(rr.Header().Name))
	}
	for _, name := range names {
		if !slices.ContainsFunc(s.signed, func(top string) bool { return dns.IsSubDomain(top, name) }) {
			return false
		}
	}
	return true
}

// Queries says how often name was asked for a record of type rrtype, as in "TXT".
func (s *Server) Queries(name, rrtype string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.asked[rrtype+" "+fold(name)]
}

// Await returns when name has been asked n times for a record of type rrtype.
func (s *Server) Await(ctx context.Context, name, rrtype string, n int) error {
	for {
		s.mu.RLock()
		asked, changed := s.asked[rrtype+" "+fold(name)], s.changed
		s.mu.RUnlock()
		if asked >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// Total says how many queries came in all.
func (s *Server) Total() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.total
}

func (s *Server) serve(w dns.ResponseWriter, req *dns.Msg) {
	q := req.Question[0]
	failure := s.count(q)
	resp := new(dns.Msg)
	resp.SetReply(req)
	resp.RecursionAvailable = true
	_, overTCP := w.RemoteAddr().(*net.TCPAddr)
	switch failure {
	case Timeout:
		return
	case Garbage:
		w.Write(append([]byte{byte(req.Id >> 8), byte(req.Id), 0x80, 0, 0, 9, 0, 9, 0, 0, 0, 0}, 0xff))
		return
	case ServFail:
		resp.Rcode = dns.RcodeServerFailure
	case Refused:
		resp.Rcode = dns.RcodeRefused
	case NoEDNS:
		if resp.Rcode = dns.RcodeFormatError; req.IsEdns0() == nil {
			resp.Rcode = dns.RcodeSuccess
			s.answer(resp, q)
		}
	case BareCNAME:
		s.answer(resp, q)
		resp.Answer, resp.Ns = resp.Answer[:1], nil
	case Forged:
		forged := resp.Copy()
		forged.Question[0].Name = "other.invalid."
		w.WriteMsg(forged)
		s.answer(resp, q)
	case WrongID:
		s.answer(resp, q)
		forged := resp.Copy()
		forged.Id++
		forged.Answer = nil
		w.WriteMsg(forged)
	case Half:
		s.answer(resp, q)
		if whole, err := resp.Pack(); err == nil {
			w.Write(whole[:len(whole)/2])
		}
		return
	case TruncatedAlone:
		if overTCP {
			w.Close()
			return
		}
		resp.Truncated = true
	case Truncated:
		if resp.Truncated = !overTCP; overTCP {
			s.answer(resp, q)
		}
	default:
		s.answer(resp, q)
	}
	resp.AuthenticatedData = req.AuthenticatedData && s.secure(resp)
	if !overTCP {
		size := dns.MinMsgSize
		if opt := req.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
			resp.SetEdns0(opt.UDPSize(), false)
		}
		if !resp.Truncated {
			resp.Truncate(size)
		}
	}
	w.WriteMsg(resp) // a client that went away is not our trouble
}

func (s *Server) count(q dns.Question) Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[dns.TypeToString[q.Qtype]+" "+fold(q.Name)]++
	s.total++
	close(s.changed)
	s.changed = make(chan struct{})
	return s.failing[fold(q.Name)]
}

func (s *Server) answer(resp *dns.Msg, q dns.Question) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.zone.answer(resp, q)
}

// fold brings a name to the one form that names have when they come off the
// wire, in lower case.
func fold(name string) string {
	name = dns.Fqdn(name)
	var buf [255]byte
	if _, err := dns.PackDomainName(name, buf[:], 0, nil, false); err == nil {
		if wire, _, err := dns.UnpackDomainName(buf[:], 0); err == nil {
			name = wire
		}
	}
	return strings.ToLower(name)
}
