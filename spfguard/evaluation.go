package spfguard

import (
	"net/netip"
	"time"
)

// An Evaluation is the answer to a Query, with everything that led to it.
type Evaluation struct {
	Query       Query // as asked
	Domain      string
	Result      Result
	Explanation string        // when the Result is Fail: what the domain tells receivers to say (§6.2)
	Err         error         // why TempError or PermError; why None when the domain is malformed
	Lookups     int           // terms that queried the DNS; the limit is 10
	Voids       int           // of them, terms with an empty answer; the limit is 2
	Empty       int           // queries with an empty answer, which some receivers count in place of terms; see Strict
	TTL         time.Duration // the least TTL of all answers it rests on; -1 when it rests on none
	Root        *Node
}

// A Node is one record on the way: the domain's own, or one that include or
// redirect led to.
type Node struct {
	Domain string
	Text   string        // of the record; "" if there is none
	TTL    time.Duration // of the record, or of the answer that there is none
	Result Result
	Absent bool   // the DNS has no such domain (NXDOMAIN)
	Err    error  // why Result is TempError or PermError
	Steps  []Step // one for each term, in the order written
	last   int    // index of the step that decided; -1 if none did
}

// An Outcome is the result of evaluating a term.
type Outcome string

const (
	NotReached Outcome = ""
	NoMatch    Outcome = "no match"
	Match      Outcome = "match"
	Followed   Outcome = "followed" // a redirect
	Failed     Outcome = "error"
)

// A Step is one term and its outcome.
type Step struct {
	Term    *Term
	Outcome Outcome
	Target  string       // the name asked for, macros expanded
	Hosts   []string     // of mx: the exchangers; of ptr: the validated names
	Addrs   []netip.Addr // that a, mx or exists resolved to
	Void    bool         // a query for this term had an empty answer
	Missing []Missing    // those queries
	Loop    bool         // include or redirect leads back to a domain on the way here
	Err     error
	Node    *Node // the record that include or redirect led to
}

// A Missing is a question that the DNS had no record for.
type Missing struct {
	Name   string // asked for; of PTR: the address
	Type   string // A, AAAA, MX or PTR
	Absent bool   // there is no such name (NXDOMAIN), not only no record of the type
}

// Decided returns the step that decided the node's result, or nil when none
// matched.
func (n *Node) Decided() *Step {
	if n.last < 0 || n.last >= len(n.Steps) {
		return nil
	}
	return &n.Steps[n.last]
}

// Path returns the nodes from the root to the one whose term decided.
func (ev *Evaluation) Path() []*Node {
	var path []*Node
	for n := ev.Root; n != nil; {
		path = append(path, n)
		st := n.Decided()
		if st == nil {
			break
		}
		n = st.Node
	}
	return path
}

// Matched returns the term that matched, in the last record of the path, or
// nil when the records ended without a match or in an error.
func (ev *Evaluation) Matched() *Term {
	if ev.Err != nil {
		return nil
	}
	path := ev.Path()
	if st := path[len(path)-1].Decided(); st != nil {
		return st.Term
	}
	return nil
}
