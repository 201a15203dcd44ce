package spfguard

import (
	"context"
	"errors"
	"fmt"
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
