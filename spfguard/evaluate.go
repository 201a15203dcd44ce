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

	survey  bool     // for Worst: nothing but all matches, and errors do not stop
	lenient bool     // for what a reader makes of it: no limits, and errors do not stop
	byQuery bool     // for Strict: the limit on empty answers counts queries
	path    []string // domains whose records are being evaluated
	loop    string   // the first include or redirect that led back, for Worst

	lookups, voids int
	empty          int           // queries with an empty answer
	ttl            time.Duration // -1 before the first answer
	temporary      error         // the first one, for Worst

	names        []string  // of the address, validated; see validatedNames
	namesMissing []Missing // on the way to names
	namesDone    bool
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
		Lookups: e.lookups, Voids: e.voids, Empty: e.empty, TTL: e.ttl, Root: root,
	}
	if root.Result == Fail {
		ev.Explanation = e.explanation(ctx, root)
	}
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
	n.Absent = errors.Is(err, dns.ErrNXDomain)
	if err = e.note(ctx, ans.TTL, err); err != nil {
		return n.fail(err)
	}
	n.TTL = ans.TTL
	for _, txt := range ans.Records {
		if !isSPF(txt) {
			continue
		}
		if n.Text != "" {
			return n.fail(permError(domain + " has more than one SPF record (RFC 7208 §4.5)"))
		}
		n.Text = txt
	}
	if n.Text == "" {
		return n
	}
	rec, err := e.checker.parse(n.Text)
	if err != nil {
		return n.fail(fmt.Errorf("%s: %w", domain, err))
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

func (n *Node) fail(err error) *Node {
	n.Result, n.Err = severity(err), err
	return n
}

// record evaluates the terms in order (§4.6.2). When no mechanism matched, not
// even an all, the redirect has its turn (§6.1); without one the result is
// neutral (§4.7).
func (e *evaluation) record(ctx context.Context, n *Node) {
	redirect := -1
	for i := range n.Steps {
		st := &n.Steps[i]
		switch st.Term.Kind {
		case Redirect:
			redirect = i
			continue
		case Exp, Unknown:
			continue
		}
		matched, err := e.mechanism(ctx, n, st)
		switch {
		case err != nil:
			st.Outcome, st.Err = Failed, err
			if !e.survey && !e.lenient {
				n.last = i
				n.fail(err)
				return
			}
		case matched:
			st.Outcome = Match
			n.last = i
			n.Result = st.Term.Qualifier
			return
		default:
			st.Outcome = NoMatch
		}
	}
	n.Result = Neutral
	if redirect >= 0 {
		n.last = redirect
		e.redirect(ctx, n, &n.Steps[redirect])
	}
}

// redirect gives n the result of another domain's record (§6.1).
func (e *evaluation) redirect(ctx context.Context, n *Node, st *Step) {
	child, err := e.follow(ctx, n, st)
	if err == nil && child.Result == None {
		err = permError(
			fmt.Sprintf("%s: %s: %s %s (RFC 7208 §6.1)", n.Domain, st.Term.Text, st.Target, child.lacks()))
	}
	if err != nil {
		st.Outcome, st.Err = Failed, err
		n.fail(err)
		return
	}
	st.Outcome = Followed
	n.Result, n.Err = child.Result, child.Err
}

// mechanism evaluates one mechanism (§5).
func (e *evaluation) mechanism(ctx context.Context, n *Node, st *Step) (matched bool, err error) {
	switch st.Term.Kind {
	case All:
		return true, nil
	case IP4, IP6:
		return !e.survey && st.Term.Net.Contains(e.ip), nil
	case Include:
		return e.include(ctx, n, st)
	}
	if err := e.count(n, st); err != nil {
		return false, err
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
	return matched && err == nil && !e.survey, err
}

// include matches when the other domain's record passes (§5.2).
func (e *evaluation) include(ctx context.Context, n *Node, st *Step) (bool, error) {
	child, err := e.follow(ctx, n, st)
	if err != nil {
		return false, err
	}
	switch child.Result {
	case TempError, PermError:
		return false, child.Err
	case None:
		return false, permError(
			fmt.Sprintf("%s: %s: %s %s (RFC 7208 §5.2)", n.Domain, st.Term.Text, st.Target, child.lacks()))
	default:
		return child.Result == Pass, nil
	}
}

// lacks says why a node has no record.
func (n *Node) lacks() string {
	if n.Absent {
		return "does not exist"
	}
	return "has no SPF record"
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
	if e.survey || e.lenient {
		for i, domain := range e.path {
			if strings.EqualFold(domain, st.Target) {
				st.Loop = true
				e.loop = strings.Join(append(e.path[i:len(e.path):len(e.path)], domain), " → ")
				return nil, permError(fmt.Sprintf("%s: %s leads back to %s", n.Domain, st.Term.Text, domain))
			}
		}
	}
	st.Node = e.checkHost(ctx, st.Target)
	return st.Node, nil
}
