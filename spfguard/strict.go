package spfguard

import "context"

// Strict evaluates q as receivers do that count every query with an empty
// answer, where RFC 7208 §4.6.4 counts terms: pyspf and Mail::SPF. For them an
// mx whose three hosts have no IPv6 address uses up the limit of two by
// itself. pyspf asks for the addresses of all MX hosts before it compares the
// first; Strict does too.
func (c *Checker) Strict(ctx context.Context, q Query) *Evaluation {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	e := newEvaluation(c, q)
	e.byQuery = true
	return e.finish(ctx, e.checkHost(ctx, e.domain))
}

// asRead evaluates q as a person reads the record: without limits, and past
// terms in error, which match nothing.
func (c *Checker) asRead(ctx context.Context, q Query) *Evaluation {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	e := newEvaluation(c, q)
	e.lenient = true
	return e.finish(ctx, e.checkHost(ctx, e.domain))
}
