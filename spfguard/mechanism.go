package spfguard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"enotify/spfguard/dns"
)

// a matches when the target has the address (§5.3).
func (e *evaluation) a(ctx context.Context, n *Node, st *Step) (bool, error) {
	st.Target = e.target(ctx, &st.Term.Spec, n.Domain, st)
	addrs, err := e.addresses(ctx, n, st, st.Target, e.ip.Is4())
	st.Addrs = addrs
	return e.covers(st.Term, addrs), err
}

// mx matches when an exchanger of the target has the address (§5.4). There is
// no fallback to the target's own addresses.
func (e *evaluation) mx(ctx context.Context, n *Node, st *Step) (matched bool, err error) {
	st.Target = e.target(ctx, &st.Term.Spec, n.Domain, st)
	if !askable(st.Target) {
		return false, nil
	}
	ans, denial := e.dns.MX(ctx, st.Target)
	if err := e.note(ctx, ans.TTL, denial); err != nil {
		return false, err
	}
	if len(ans.Records) == 0 {
		e.void(st, Missing{st.Target, "MX", errors.Is(denial, dns.ErrNXDomain)})
		return false, nil
	}
	if len(ans.Records) > maxHosts {
		return false, permError(fmt.Sprintf("%s: %s: %s has %d MX records, and %d are allowed (RFC 7208 §4.6.4)",
			n.Domain, st.Term.Text, st.Target, len(ans.Records), maxHosts))
	}
	for _, mx := range ans.Records {
		if mx.Host == "" { // the null MX of RFC 7505
			continue
		}
		st.Hosts = append(st.Hosts, mx.Host)
		addrs, err := e.addresses(ctx, n, st, mx.Host, e.ip.Is4())
		if err != nil {
			return false, err
		}
		if st.Addrs == nil {
			st.Addrs = addrs
		} else {
			st.Addrs = append(st.Addrs[:len(st.Addrs):len(st.Addrs)], addrs...)
		}
		if e.covers(st.Term, addrs) && !e.survey {
			matched = true
			if !e.byQuery { // who counts queries asks for all hosts first
				return true, nil
			}
		}
	}
	return matched, nil
}

// exists matches when the target has any IPv4 address, whatever the
// connection (§5.7).
func (e *evaluation) exists(ctx context.Context, n *Node, st *Step) (bool, error) {
	st.Target = e.target(ctx, &st.Term.Spec, n.Domain, st)
	addrs, err := e.addresses(ctx, n, st, st.Target, true)
	st.Addrs = addrs
	return len(addrs) > 0, err
}

// ptr matches when a validated name of the address is the target or below it (§5.5). Errors
// of the DNS are no match, so that the holder of the address cannot cause them.
func (e *evaluation) ptr(ctx context.Context, n *Node, st *Step) (bool, error) {
	st.Target = e.target(ctx, &st.Term.Spec, n.Domain, st)
	st.Hosts = e.validatedNames(ctx, st)
	for _, name := range st.Hosts {
		if under(name, st.Target) {
			return true, nil
		}
	}
	return false, nil
}

// validatedNames asks for the names of the address and keeps those that
// resolve back to it, of the first ten (§5.5). It asks once for an evaluation;
// each term that uses the names answers for the queries.
func (e *evaluation) validatedNames(ctx context.Context, st *Step) []string {
	if !e.namesDone {
		e.namesDone = true
		e.askNames(ctx)
	}
	for _, m := range e.namesMissing {
		e.void(st, m)
	}
	return e.names
}

func (e *evaluation) askNames(ctx context.Context) {
	ans, err := e.dns.PTR(ctx, e.ip)
	if e.note(ctx, ans.TTL, err) != nil {
		return
	}
	if len(ans.Records) == 0 {
		e.namesMissing = append(e.namesMissing, Missing{e.ip.String(), "PTR", true})
	}
	ask := e.dns.AAAA
	if e.ip.Is4() {
		ask = e.dns.A
	}
	for _, name := range ans.Records[:min(len(ans.Records), maxHosts)] {
		if !askable(name) {
			continue
		}
		addrs, err := ask(ctx, name)
		if e.note(ctx, addrs.TTL, err) != nil {
			continue
		}
		if len(addrs.Records) == 0 {
			e.namesMissing = append(e.namesMissing,
				Missing{name, addressType(e.ip.Is4()), errors.Is(err, dns.ErrNXDomain)})
		}
		if slices.Contains(addrs.Records, e.ip) {
			e.names = append(e.names, name)
		}
	}
}

// addresses asks for A or AAAA records of name on st's account.
func (e *evaluation) addresses(ctx context.Context, n *Node, st *Step, name string, v4 bool) ([]netip.Addr, error) {
	if !askable(name) {
		return nil, nil // cannot be asked for, so it has none (§4.8)
	}
	ask := e.dns.AAAA
	if v4 {
		ask = e.dns.A
	}
	ans, denial := ask(ctx, name)
	if err := e.note(ctx, ans.TTL, denial); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", n.Domain, st.Term.Text, err)
	}
	if len(ans.Records) == 0 {
		e.void(st, Missing{name, addressType(v4), errors.Is(denial, dns.ErrNXDomain)})
	}
	return ans.Records, nil
}

func addressType(v4 bool) string {
	if v4 {
		return "A"
	}
	return "AAAA"
}

// covers reports whether the address is within the term's prefix length of one of addrs.
func (e *evaluation) covers(t *Term, addrs []netip.Addr) bool {
	bits := t.Bits4
	if e.ip.Is6() {
		bits = t.Bits6
	}
	for _, addr := range addrs {
		if netip.PrefixFrom(addr, bits).Contains(e.ip) {
			return true
		}
	}
	return false
}

var _ Resolver = (*dns.Resolver)(nil)
