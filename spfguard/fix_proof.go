package spfguard

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
)

// prove evaluates the result: for every egress address as RFC 7208 says and as
// Strict does, for every address that passes today, and for every address that the old record names
// to its reader.
func (c *Checker) prove(ctx context.Context, q FixQuery, r *draft, asMeant string, f *Fix) error {
	for _, ip := range q.Egress {
		ev := c.Check(ctx, q.query(ip, f.After))
		f.Proof = append(f.Proof, ev)
		if ev.Result == TempError {
			return fmt.Errorf("%s: %w", ip, ev.Err)
		}
		if ev.Result != Pass {
			return fmt.Errorf("%w: %s", ErrNoFix, ev.Explain())
		}
	}
	f.Worst = c.Worst(ctx, q.query(stranger4, f.After))
	var cut []netip.Addr
	if f.Before != "" && f.Changed() {
		if len(f.Delete) == 0 {
			lost, _, err := c.lost(ctx, q, f.Before, f.After, c.Check)
			if err != nil {
				return err
			}
			if len(lost) > 0 {
				return fmt.Errorf("%w without taking it from %s, which passes now", ErrNoFix, lost[0])
			}
		}
		lost, n, err := c.lost(ctx, q, asMeant, f.After, c.asRead)
		if err != nil {
			return err
		}
		f.Others, cut = n, lost
		for _, ip := range lost { // a permerror is of the limits, or in another's record, and not made here
			if ev := c.Check(ctx, q.query(ip, f.After)); ev.Result != PermError {
				return fmt.Errorf("%w: %s, which the record names, would not pass: %s", ErrNoFix, ip, ev.Explain())
			}
		}
	}
	f.Open = append(slices.Clone(r.open), c.openQuestions(ctx, q, f, cut)...)
	return nil
}

// lost returns addresses that pass under before, as judge sees it, and not
// under after, and how many pass under both.
func (c *Checker) lost(ctx context.Context, q FixQuery, before, after string,
	judge func(context.Context, Query) *Evaluation) (lost []netip.Addr, kept int, err error) {
	for _, ip := range c.samples(ctx, q, before) {
		if judge(ctx, q.query(ip, before)).Result != Pass {
			continue
		}
		switch ev := c.Check(ctx, q.query(ip, after)); ev.Result {
		case Pass:
			kept++
		case TempError:
			if ctx.Err() != nil {
				return nil, 0, ev.Err
			}
		default:
			lost = append(lost, ip)
		}
	}
	return lost, kept, nil
}

// samples are addresses that stand for everyone a record names.
func (c *Checker) samples(ctx context.Context, q FixQuery, record string) []netip.Addr {
	four := c.Worst(ctx, q.query(stranger4, record)).Root.samples()
	six := c.Worst(ctx, q.query(stranger6, record)).Root.samples()
	addrs := append(four, six...)
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	var few []netip.Addr
	for i := 0; i < len(addrs); i += 1 + len(addrs)/maxSamples {
		few = append(few, addrs[i])
	}
	return few
}

// victim is an address that a record names and that the limits of RFC 7208, or
// the limits of Strict, keep from passing; it is not valid when there is none. more
// are addresses of senders that are looked at too.
func (c *Checker) victim(ctx context.Context, q FixQuery, record string, more ...netip.Addr) (netip.Addr, error) {
	for _, stranger := range []netip.Addr{stranger4, stranger6} {
		worst := c.Worst(ctx, q.query(stranger, record))
		if worst.Empty <= maxVoids && worst.Lookups <= maxLookups {
			continue
		}
		for _, ip := range append(slices.Clone(more), c.samples(ctx, q, record)...) {
			if ip.Is4() != stranger.Is4() || c.asRead(ctx, q.query(ip, record)).Result != Pass {
				continue
			}
			if ev := c.Strict(ctx, q.query(ip, record)); ev.Result == PermError {
				return ip, nil
			}
			if ctx.Err() != nil {
				return netip.Addr{}, context.Cause(ctx)
			}
		}
	}
	return netip.Addr{}, nil
}
