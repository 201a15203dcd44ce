package spfguard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"enotify/spfguard/dns"
)

// holdings says which records the DNS has at a name that can make it a sender.
type holdings struct {
	records []string     // SPF records
	addrs   []netip.Addr // of both families
	hosts   []string     // MX hosts
	absent  bool         // there is no such name
}

func (h holdings) any() bool { return len(h.records)+len(h.addrs)+len(h.hosts) > 0 }

// holdings asks for everything at name. Its error is temporary.
func (c *Checker) holdings(ctx context.Context, name string) (h holdings, err error) {
	if !askable(name) {
		return holdings{absent: true}, nil
	}
	txt, err := c.Resolver.TXT(ctx, name)
	if !answered(err) {
		return h, err
	}
	h.absent = errors.Is(err, dns.ErrNXDomain)
	for _, text := range txt.Records {
		if isSPF(text) {
			h.records = append(h.records, text)
		}
	}
	for _, ask := range []func(context.Context, string) (dns.Answer[netip.Addr], error){c.Resolver.A, c.Resolver.AAAA} {
		ans, err := ask(ctx, name)
		if !answered(err) {
			return h, err
		}
		h.addrs = append(h.addrs, ans.Records...)
	}
	mx, err := c.Resolver.MX(ctx, name)
	if !answered(err) {
		return h, err
	}
	for _, host := range mx.Records {
		if host.Host != "" {
			h.hosts = append(h.hosts, host.Host)
		}
	}
	h.absent = h.absent && !h.any()
	return h, nil
}

// settle says by which terms a name without a mechanism was meant, or what to
// ask when the DNS knows of nothing that could send there.
func (c *Checker) settle(ctx context.Context, cand candidate, domain string) (texts []string, ask string, err error) {
	for _, name := range append([]string{cand.name}, cand.others...) {
		h, err := c.holdings(ctx, name)
		if err != nil {
			return nil, "", fmt.Errorf("what %s is: %w", name, err)
		}
		if strings.EqualFold(name, domain) {
			h.records = nil // a record does not include itself
		}
		if !h.any() {
			continue
		}
		kinds, err := c.roles(ctx, name, domain, h)
		if err != nil {
			return nil, "", err
		}
		for _, kind := range kinds {
			text := cand.qualifier + string(kind) + ":" + name
			if kind != Include {
				text += cand.bits
			}
			texts = append(texts, text)
		}
		return texts, "", nil
	}
	ask = fmt.Sprintf("What does %q stand for? The DNS has no host, no MX and no SPF record of this name.", cand.name)
	if near := serviceNear(cand.name); near != "" {
		ask += fmt.Sprintf(" Was %q meant?", "include:"+near)
	}
	return nil, ask, nil
}

// roles are the mechanisms by which a name with these holdings can have been
// meant, so that together they miss no reading. A service is known by its SPF
// record. A host of the client's own may have a record too, for bounces.
func (c *Checker) roles(ctx context.Context, name, domain string, h holdings) ([]Kind, error) {
	switch {
	case len(h.records) > 0 && (len(h.addrs) == 0 || !sameOrganisation(name, domain)):
		return []Kind{Include}, nil
	case len(h.records) > 0:
		for _, addr := range h.addrs {
			ev := c.Check(ctx, Query{IP: addr, Sender: "postmaster@" + name, Domain: name, HELO: name})
			if ev.Result == TempError {
				return nil, ev.Err
			}
			if ev.Result != Pass {
				return []Kind{A, Include}, nil
			}
		}
		return []Kind{Include}, nil
	case len(h.hosts) == 0:
		return []Kind{A}, nil
	case len(h.addrs) == 0:
		return []Kind{MX}, nil
	case len(h.hosts) == 1 && strings.EqualFold(h.hosts[0], name):
		return []Kind{A}, nil
	}
	return []Kind{A, MX}, nil
}

// sameOrganisation reports whether two names are under one domain that
// someone registered.
func sameOrganisation(a, b string) bool {
	own, err := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(a))
	other, err2 := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(b))
	return err == nil && err2 == nil && own == other
}

// settle asks the DNS about names without a mechanism. The terms that it finds
// take their places, and the remedies name them.
func (x *examination) settle(ctx context.Context, c *Checker) error {
	terms := map[int][]meant{} // by finding
	asks := map[int]string{}
	for _, t := range x.terms {
		if t.unsettled.name == "" {
			terms[t.finding] = append(terms[t.finding], t)
			continue
		}
		texts, ask, err := c.settle(ctx, t.unsettled, x.domain)
		if err != nil {
			return err
		}
		asks[t.finding] = strings.TrimSpace(asks[t.finding] + " " + ask)
		for _, text := range texts {
			settled := mustTerm(text)
			settled.Pos = t.Pos
			terms[t.finding] = append(terms[t.finding],
				meant{Term: settled, pos: t.pos, end: t.end, finding: t.finding})
		}
	}
	var settled []meant
	for i := 0; i < len(x.terms); i++ {
		t := x.terms[i]
		ask, touched := asks[t.finding]
		switch {
		case !touched:
			settled = append(settled, t)
			continue
		case ask != "" && harmless(x.findings[t.finding].Text):
			settled = append(settled, asWritten(x.findings[t.finding].Text, token{pos: t.pos, end: t.end}, t.finding))
			x.open = append(x.open, ask)
		case ask != "":
			x.doubts = append(x.doubts, ask)
			fallthrough
		default:
			settled = append(settled, terms[t.finding]...)
		}
		g := guess{ask: ask}
		for _, t := range terms[t.finding] {
			g.found = append(g.found, candidate{text: t.Text})
		}
		x.findings[t.finding].Remedy = g.advice()
		for i+1 < len(x.terms) && x.terms[i+1].finding == t.finding {
			i++
		}
	}
	x.terms = settled
	return nil
}

// texts are the terms as they are to be written, without repetitions of those
// that may stand only once.
func (x *examination) texts() []string {
	var texts []string
	for _, i := range x.kept() {
		texts = append(texts, x.terms[i].Text)
	}
	return texts
}

// kept are the indices of terms that the record as it was meant has.
func (x *examination) kept() []int {
	var kept []int
	seen := map[Kind]bool{}
	for i := range x.terms {
		kind := x.terms[i].Kind
		if (kind == Redirect || kind == Exp) && seen[kind] {
			continue
		}
		seen[kind] = true
		kept = append(kept, i)
	}
	return slices.Clip(kept)
}
