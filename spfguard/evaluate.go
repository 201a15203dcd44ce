package spfguard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"enotify/spfguard/dns"
)

// Limits of RFC 7208 §4.6.4.
const (
	maxLookups = 10 // terms that query
	maxVoids   = 2  // terms with an empty answer
	maxHosts   = 10 // MX or PTR names for one term
)

// An evaluation is a check_host() under way, with its includes and redirects.
type evaluation struct {
	checker *Checker
	dns     Resolver // the checker's, or an overlay of it
	query   Query
	ip      netip.Addr
	local   string // of the sender
	origin  string // the sender's domain
	helo    string
	domain  string // that was asked for

	survey bool     // for Worst: nothing but all matches, and errors do not stop
	path   []string // domains whose records are being evaluated

	lookups, voids int
	ttl            time.Duration // -1 before the first answer
	temporary      error         // the first one, for Worst

	names     []string // of the address, validated; see validatedNames
	namesVoid bool     // an answer on the way to names was empty
	namesDone bool
}

func newEvaluation(c *Checker, q Query) *evaluation {
	e := &evaluation{checker: c, dns: c.Resolver, query: q, ip: q.IP.Unmap().WithZone(""), helo: q.HELO, ttl: -1}
	e.local, e.origin = split(q.Sender, q.HELO)
	e.domain = ASCII(q.Domain)
	if e.domain == "" {
		e.domain = e.origin
	}
	if q.Sender == "" && q.HELO == "" {
		e.origin = e.domain
	}
	if q.Record != "" {
		e.dns = overlay{c.Resolver, e.domain, q.Record}
	}
	return e
}

func (e *evaluation) finish(ctx context.Context, root *Node) *Evaluation {
	ev := &Evaluation{
		Query: e.query, Domain: e.domain, Result: root.Result, Err: root.Err,
		Lookups: e.lookups, Voids: e.voids, Root: root,
	}
	if root.Result == Fail {
		ev.Explanation = e.explanation(ctx, root)
	}
	ev.TTL = e.ttl
	return ev
}

// checkHost finds the one record of domain (§4.3 to §4.5) and evaluates it.
func (e *evaluation) checkHost(ctx context.Context, domain string) *Node {
	n := &Node{Domain: domain, Result: None, last: -1}
	if !isDomain(domain) {
		n.Err = fmt.Errorf("%q is no domain name of two or more labels", domain)
		return n
	}
	ans, err := e.dns.TXT(ctx, domain)
	if err = e.note(ctx, ans.TTL, err); err != nil {
		return n.fail(TempError, err)
	}
	n.TTL = ans.TTL
	for _, txt := range ans.Records {
		if !isSPF(txt) {
			continue
		}
		if n.Text != "" {
			return n.fail(PermError, fmt.Errorf("%s has more than one SPF record (RFC 7208 §4.5)", domain))
		}
		n.Text = txt
	}
	if n.Text == "" {
		return n
	}
	rec, err := e.checker.parse(n.Text)
	if err != nil {
		return n.fail(PermError, fmt.Errorf("%s: %w", domain, err))
	}
	n.Steps = make([]Step, len(rec.Terms))
	for i := range rec.Terms {
		n.Steps[i].Term = &rec.Terms[i]
	}
	e.path = append(e.path, domain)
	e.record(ctx, n)
	e.path = e.path[:len(e.path)-1]
	return n
}

func (n *Node) fail(r Result, err error) *Node {
	n.Result, n.Err = r, err
	return n
}

// record evaluates the terms in order (§4.6.2); the redirect has its turn when
// no mechanism matched (§6.1), and without one the result is neutral (§4.7).
func (e *evaluation) record(ctx context.Context, n *Node) {
	redirect := -1
	hasAll := false
	for i := range n.Steps {
		st := &n.Steps[i]
		switch st.Term.Kind {
		case Redirect:
			redirect = i
			continue
		case Exp, Unknown:
			continue
		}
		matched, r, err := e.mechanism(ctx, n, st)
		switch {
		case err != nil:
			st.Outcome, st.Err = Failed, err
			if !e.survey {
				n.last = i
				n.fail(r, err)
				return
			}
			n.Err = errors.Join(n.Err, err)
		case matched:
			st.Outcome = Match
			n.last = i
			n.Result = st.Term.Qualifier
			return
		default:
			st.Outcome = NoMatch
		}
		hasAll = hasAll || st.Term.Kind == All
	}
	n.Result = Neutral
	if redirect >= 0 && !hasAll {
		n.last = redirect
		n.Result, n.Err = e.redirect(ctx, n, &n.Steps[redirect])
	}
}

// redirect replaces the record by that of another domain (§6.1).
func (e *evaluation) redirect(ctx context.Context, n *Node, st *Step) (Result, error) {
	st.Outcome = Followed
	child, err := e.follow(ctx, n, st)
	if err == nil && child.Result != None {
		return child.Result, child.Err
	}
	if err == nil {
		err = permError(fmt.Sprintf("%s: %s: %s has no SPF record (RFC 7208 §6.1)", n.Domain, st.Term.Text, st.Target))
	}
	st.Outcome, st.Err = Failed, err
	return severity(err), err
}

// mechanism evaluates one mechanism (§5). When err is not nil, the result is r.
func (e *evaluation) mechanism(ctx context.Context, n *Node, st *Step) (matched bool, r Result, err error) {
	switch st.Term.Kind {
	case All:
		return true, "", nil
	case IP4, IP6:
		return !e.survey && st.Term.Net.Contains(e.ip), "", nil
	case Include:
		return e.include(ctx, n, st)
	}
	if err := e.count(n, st); err != nil {
		return false, PermError, err
	}
	switch st.Term.Kind {
	case A:
		matched, err = e.a(ctx, n, st)
	case MX:
		matched, err = e.mx(ctx, n, st)
	case PTR:
		matched, err = e.ptr(ctx, n, st)
	default:
		matched, err = e.exists(ctx, n, st)
	}
	if limit := e.afterQueries(ctx, n, st); limit != nil {
		err = limit // it was exceeded before err came
	}
	if err == nil {
		return matched && !e.survey, "", nil
	}
	return false, severity(err), err
}

// A permError is permanent; all others of an evaluation are temporary.
type permError string

func (e permError) Error() string { return string(e) }

func severity(err error) Result {
	var perm permError
	if errors.As(err, &perm) {
		return PermError
	}
	return TempError
}

// include matches when the other domain's record passes (§5.2).
func (e *evaluation) include(ctx context.Context, n *Node, st *Step) (bool, Result, error) {
	child, err := e.follow(ctx, n, st)
	if err != nil {
		return false, severity(err), err
	}
	switch child.Result {
	case Pass:
		return true, "", nil
	case TempError, PermError:
		return false, child.Result, child.Err
	case None:
		return false, PermError, fmt.Errorf("%s: %s: %s has no SPF record (RFC 7208 §5.2)", n.Domain, st.Term.Text, st.Target)
	default:
		return false, "", nil
	}
}

// follow evaluates the record that include or redirect points to.
func (e *evaluation) follow(ctx context.Context, n *Node, st *Step) (*Node, error) {
	if err := e.count(n, st); err != nil {
		return nil, err
	}
	st.Target = e.target(ctx, &st.Term.Spec, n.Domain, st)
	if err := e.afterQueries(ctx, n, st); err != nil {
		return nil, err
	}
	if e.survey {
		for _, domain := range e.path {
			if strings.EqualFold(domain, st.Target) {
				return nil, permError(fmt.Sprintf("%s: %s leads back to %s", n.Domain, st.Term.Text, domain))
			}
		}
	}
	st.Node = e.checkHost(ctx, st.Target)
	return st.Node, nil
}

// count puts st on the account of terms that query.
func (e *evaluation) count(n *Node, st *Step) error {
	e.lookups++
	limit := maxLookups
	if e.survey {
		limit = maxSurvey
	}
	if e.lookups > limit {
		return permError(fmt.Sprintf("%s: %s is term %d of those that query the DNS, of which %d are allowed (RFC 7208 §4.6.4)",
			n.Domain, st.Term.Text, e.lookups, maxLookups))
	}
	return nil
}

// empty puts st on the account of terms with an empty answer, once.
func (e *evaluation) empty(st *Step) {
	if !st.Void {
		st.Void = true
		e.voids++
	}
}

// afterQueries enforces, whatever the answers, the limits on empty ones and on time.
func (e *evaluation) afterQueries(ctx context.Context, n *Node, st *Step) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !st.Void || e.voids <= maxVoids || e.survey {
		return nil
	}
	return permError(fmt.Sprintf("%s: %s is term %d whose query has an empty answer, of which %d are allowed (RFC 7208 §4.6.4)",
		n.Domain, st.Term.Text, e.voids, maxVoids))
}

// note takes the TTL of an answer into account, and lets only temporary errors through.
func (e *evaluation) note(ctx context.Context, ttl time.Duration, err error) error {
	if err != nil && !errors.Is(err, dns.ErrNXDomain) && !errors.Is(err, dns.ErrNoData) {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if e.temporary == nil {
			e.temporary = err
		}
		return err
	}
	if e.ttl < 0 || ttl < e.ttl {
		e.ttl = ttl
	}
	return nil
}
