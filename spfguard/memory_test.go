package spfguard_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	mdns "github.com/miekg/dns"

	"enotify/spfguard/dns"
)

// A memory is a DNS without a network, for suites and benchmarks.
type memory struct {
	a, aaaa  map[string][]netip.Addr
	txt, ptr map[string][]string
	mx       map[string][]dns.MX
	cname    map[string]string
	exists   map[string]bool
	fails    map[string]bool
}

func newMemory() *memory {
	return &memory{
		a: map[string][]netip.Addr{}, aaaa: map[string][]netip.Addr{},
		txt: map[string][]string{}, ptr: map[string][]string{},
		mx: map[string][]dns.MX{}, cname: map[string]string{},
		exists: map[string]bool{}, fails: map[string]bool{},
	}
}

func (m *memory) TXT(_ context.Context, name string) (dns.Answer[string], error) {
	return find(m, m.txt, name)
}

func (m *memory) A(_ context.Context, name string) (dns.Answer[netip.Addr], error) {
	return find(m, m.a, name)
}

func (m *memory) AAAA(_ context.Context, name string) (dns.Answer[netip.Addr], error) {
	return find(m, m.aaaa, name)
}

func (m *memory) MX(_ context.Context, name string) (dns.Answer[dns.MX], error) {
	return find(m, m.mx, name)
}

func (m *memory) PTR(_ context.Context, ip netip.Addr) (dns.Answer[string], error) {
	arpa, err := mdns.ReverseAddr(ip.String())
	if err != nil {
		return dns.Answer[string]{}, err
	}
	return find(m, m.ptr, strings.TrimSuffix(arpa, "."))
}

func find[T any](m *memory, rrs map[string][]T, name string) (dns.Answer[T], error) {
	name = strings.ToLower(name)
	for to, ok := m.cname[name]; ok; to, ok = m.cname[name] {
		name = to
	}
	if found, ok := rrs[name]; ok {
		return dns.Answer[T]{Records: found, TTL: 5 * time.Minute}, nil
	}
	switch {
	case m.fails[name]:
		return dns.Answer[T]{}, errors.New("made up to fail")
	case m.exists[name]:
		return dns.Answer[T]{TTL: time.Minute}, dns.ErrNoData
	default:
		return dns.Answer[T]{TTL: time.Minute}, dns.ErrNXDomain
	}
}
