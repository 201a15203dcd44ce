package spfguard

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// A FixQuery is what Fix is asked.
type FixQuery struct {
	Domain  string
	Record  string       // if not "", repaired in place of what Domain publishes
	Egress  []netip.Addr // that must pass
	Sender  string       // for macros; "" is postmaster of Domain
	HELO    string       // for macros
	Include string       // a domain whose record lists the egress; "" adds them as networks
	New     bool         // Domain need not exist yet; otherwise one that does not has no fix
}

// A Fix is the smallest change that makes every egress address pass.
type Fix struct {
	Domain  string
	Absent  bool          // the domain does not exist (NXDOMAIN)
	Before  string        // the record as it is; "" if there is none
	After   string        // the record to publish in place of Before
	Delete  []string      // further TXT records of the domain that are to be deleted
	Changes []string      // what was changed and why, a sentence each
	Open    []string      // questions and tasks that remain, a sentence or two each
	Flatten []string      // includes to replace by networks, the costliest first, of a record over ten lookups
	Proof   []*Evaluation // of After, one for each egress address
	Others  int           // addresses of other senders named by Before that pass under After
	Worst   Cost          // of After
}

const (
	maxFix     = time.Minute // for all evaluations that a fix needs
	maxSamples = 200         // addresses that stand for the other senders
)

// Changed reports whether there is anything to publish or to delete.
func (f *Fix) Changed() bool { return f.Before != f.After || len(f.Delete) > 0 }

// ErrNoFix is the error when no change was found under which all pass.
var ErrNoFix = errors.New("no change makes every address pass")

// A DoubtError is an ErrNoFix: the record names senders that cannot be told from its text
// and the DNS, and a line without them would have receivers refuse their mail. The owner of
// the domain has to answer first.
type DoubtError struct {
	Domain    string
	Questions []string
	IfGone    *Fix // proven except for the senders asked about; nil when they cannot simply be left out
}

func (e *DoubtError) Error() string {
	return fmt.Sprintf("no line for %s can be proven before these questions are answered: %s", e.Domain, e.Ask())
}

// Ask is the questions, and what to publish if the senders asked about are gone.
func (e *DoubtError) Ask() string {
	text := strings.Join(e.Questions, " ")
	if e.IfGone != nil {
		text += " If gone, publish: " + ZoneLine(e.Domain, e.IfGone.After)
	}
	return text
}

func (e *DoubtError) Unwrap() error { return ErrNoFix }

// Fix looks for the smallest change to the record of q.Domain with which every
// egress address passes, and proves it by evaluating the changed record in
// place of the published one. What makes the record a permerror is repaired.
// Every sender that passed before still passes, and so does every sender that a reader
// would take the record to name; where one cannot be told, the error is a
// *DoubtError. All errors wrap ErrNoFix or are temporary, except for a domain
// name that is none.
func (c *Checker) Fix(ctx context.Context, q FixQuery) (*Fix, error) {
	q.Domain = ASCII(q.Domain)
	if !isDomain(q.Domain) {
		return nil, fmt.Errorf("%q is no domain name of two or more labels", q.Domain)
	}
	for _, ip := range q.Egress {
		if why := NotPublic(ip); why != "" {
			return nil, fmt.Errorf(
				"%w: %s is %s, which no receiver sees and no record should name; name the public address that "+
					"the mail leaves from",
				ErrNoFix,
				ip,
				why,
			)
		}
	}
	if q.Sender == "" {
		q.Sender = "postmaster@" + q.Domain
	}
	ctx, cancel := context.WithTimeoutCause(ctx, maxFix, fmt.Errorf("looking for a fix took longer than %v", maxFix))
	defer cancel()
	r, err := c.draft(ctx, q)
	if err != nil {
		return nil, err
	}
	f, err := c.finish(ctx, q, r.clone(), true)
	if errors.Is(err, ErrNoFix) && !errors.As(err, new(*DoubtError)) {
		// What is tidier may be worse for someone, in odd records.
		f, err = c.finish(ctx, q, r, false)
	}
	return f, err
}

// finish mends a draft, adds what is missing, and proves the result. tidy says
// whether a record that changes anyway is to be left without anything that lint
// would fault.
func (c *Checker) finish(ctx context.Context, q FixQuery, r *draft, tidy bool) (*Fix, error) {
	asRead := r.text()
	missing, err := c.notPassing(ctx, q, asRead)
	if err != nil {
		return nil, err
	}
	changes := r.before == "" || r.altered || len(missing) > 0
	if tidy && changes {
		c.oneEnd(ctx, q, r)
	}
	asMeant := r.text()
	if err := c.mend(ctx, q, r); err != nil {
		return nil, err
	}
	if len(r.doubts) > 0 {
		return nil, &DoubtError{Domain: q.Domain, Questions: append(r.doubts, r.dead...)}
	}
	if tidy && (changes || r.text() != asMeant) {
		if err := c.tidy(ctx, q, r); err != nil {
			return nil, err
		}
	}
	if missing, err = c.notPassing(ctx, q, r.text()); err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		if err := c.authorise(ctx, q, r, missing); err != nil {
			return nil, err
		}
	}
	f := &Fix{
		Domain:  q.Domain,
		Absent:  r.absent,
		Before:  r.before,
		After:   r.text(),
		Delete:  r.stale,
		Changes: r.changes,
	}
	if !r.altered && f.After == asRead {
		f.After = f.Before // as it is spelt there
	}
	if err := c.prove(ctx, q, r, asMeant, f); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // then the proof is not complete
		return nil, context.Cause(ctx)
	}
	if len(r.dead) > 0 {
		return nil, &DoubtError{q.Domain, r.dead, f}
	}
	return f, nil
}

func (q *FixQuery) query(ip netip.Addr, record string) Query {
	return Query{IP: ip, Sender: q.Sender, HELO: q.HELO, Domain: q.Domain, Record: record}
}

// notPassing returns the egress addresses that record does not authorise at
// every receiver, whichever way that counts empty answers.
func (c *Checker) notPassing(ctx context.Context, q FixQuery, record string) ([]netip.Addr, error) {
	var missing []netip.Addr
	for _, ip := range q.Egress {
		ev := c.Check(ctx, q.query(ip, record))
		if ev.Result == Pass {
			ev = c.Strict(ctx, q.query(ip, record))
		}
		if ev.Result == TempError && ctx.Err() != nil {
			return nil, ev.Err
		}
		if ev.Result != Pass {
			missing = append(missing, ip.Unmap())
		}
	}
	return missing, nil
}

// authorise puts what is missing at the very left: there it is found before
// any lookup is made, and before an error to its right.
func (c *Checker) authorise(ctx context.Context, q FixQuery, r *draft, missing []netip.Addr) error {
	if q.Include != "" {
		with := r.clone()
		with.prepend("include:" + ASCII(q.Include))
		why, err := c.refused(ctx, q, r, with)
		if err != nil {
			return err
		}
		if why == "" {
			with.note("added include:%s, whose record lists the addresses and can change without this one",
				ASCII(q.Include))
			*r = *with
			return nil
		}
		r.note("include:%s was not used: %s", ASCII(q.Include), why)
	}
	nets := aggregate(missing)
	r.prepend(networkTerms("", nets)...)
	r.note("added %s, at the front: there a network costs no lookup, and no error in another term can cut it off",
		strings.Join(networkTerms("", nets), " "))
	return nil
}

// refused says why with, which includes the operator's record, is no good in
// place of r.
func (c *Checker) refused(ctx context.Context, q FixQuery, r, with *draft) (string, error) {
	missing, err := c.notPassing(ctx, q, with.text())
	if err != nil {
		return "", err
	}
	if len(missing) > 0 {
		return fmt.Sprintf("with it %s would still not pass", missing[0]), nil
	}
	worst := c.Worst(ctx, q.query(q.Egress[0], with.text()))
	if worst.Over() {
		return fmt.Sprintf("with it the record would need %d lookups of 10", worst.Lookups), nil
	}
	lost, _, err := c.lost(ctx, q, r.text(), with.text(), c.Check)
	if err != nil {
		return "", err
	}
	if len(lost) > 0 {
		return fmt.Sprintf("with it %s would no longer pass", lost[0]), nil
	}
	return "", nil
}
