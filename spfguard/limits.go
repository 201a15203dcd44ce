package spfguard

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Limits of RFC 7208 §4.6.4.
const (
	maxLookups = 10 // terms that query
	maxVoids   = 2  // terms with an empty answer
	maxHosts   = 10 // MX or PTR names for one term
)

// A permError is permanent, and so are SyntaxErrors; all other errors of an
// evaluation are temporary.
type permError string

func (e permError) Error() string { return string(e) }

func severity(err error) Result {
	var perm permError
	var syntax SyntaxErrors
	if errors.As(err, &perm) || errors.As(err, &syntax) {
		return PermError
	}
	return TempError
}

// count puts st on the account of terms that query.
func (e *evaluation) count(n *Node, st *Step) error {
	e.lookups++
	limit := maxLookups
	if e.survey || e.lenient {
		limit = maxSurvey
	}
	if e.lookups > limit {
		if loop := e.loopTo(n.Domain); loop != "" {
			return permError(
				fmt.Sprintf(
					"%s: the record leads back to itself (%s), and receivers follow it up to the limit of %d "+
						"terms that query the DNS (RFC 7208 §4.6.4)",
					n.Domain,
					loop,
					maxLookups,
				),
			)
		}
		return permError(
			fmt.Sprintf("%s: %s is term %d that queries the DNS, and %d are allowed (RFC 7208 §4.6.4)",
				n.Domain, st.Term.Text, e.lookups, maxLookups))
	}
	return nil
}

// loopTo is the way from domain back to domain, or "" when the records being
// evaluated are all different ones.
func (e *evaluation) loopTo(domain string) string {
	for i := len(e.path) - 2; i >= 0; i-- {
		if strings.EqualFold(e.path[i], domain) {
			return strings.Join(e.path[i:], " → ")
		}
	}
	return ""
}

// void puts an empty answer on st's account. RFC 7208 §4.6.4 counts terms, so
// a term counts once.
func (e *evaluation) void(st *Step, m Missing) {
	st.Missing = append(st.Missing, m)
	e.empty++
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
	switch {
	case !st.Void || e.survey || e.lenient:
		return nil
	case e.byQuery && e.empty > maxVoids:
		return permError(
			fmt.Sprintf(
				"%s: at %s, %d queries have had an empty answer, and receivers that count queries allow %d",
				n.Domain, st.Term.Text, e.empty, maxVoids),
		)
	case e.voids <= maxVoids:
		return nil
	}
	return permError(
		fmt.Sprintf("%s: %s is term %d whose query has an empty answer, and %d are allowed (RFC 7208 §4.6.4)",
			n.Domain, st.Term.Text, e.voids, maxVoids))
}

// note takes the TTL of an answer into account, and lets only temporary errors through.
func (e *evaluation) note(ctx context.Context, ttl time.Duration, err error) error {
	if !answered(err) {
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
