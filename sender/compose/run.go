package compose

import (
	"errors"
	"fmt"
	"time"
)

// Limits on the work of a template for one message. text/template cannot be
// interrupted, so a template is counted: at each turn of a range and each
// template that is called, at each octet that is written, and at each value
// that a function makes.
const (
	maxSteps  = 100_000         // nodes that are evaluated
	maxOutput = 4 << 20         // octets of a part, as rendered
	maxWork   = 32 << 20        // octets that functions make on the way
	maxTime   = 2 * time.Second // of one part
)

// A LimitError says that a template does more for a message than it may.
type LimitError struct{ what string }

func (e *LimitError) Error() string {
	return "the template " + e.what + "; make it simpler, or the recipient's data smaller"
}

// A Fault says that the batch is at fault, and not a recipient's data: none of
// its messages can be composed.
type Fault struct{ Err error }

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

const (
	// maxOverruns is how many recipients may end for a limit before the template is
	// taken to be at fault, so that it costs the node and the others no more.
	maxOverruns = 10
	// maxFailures is how many recipients may end when none has got a message yet: a
	// field that is spelled wrong ends all of them.
	maxFailures = 10
)

// A run is the state of a template while it is filled for one recipient. It
// belongs to one goroutine at a time.
type run struct {
	out   []byte
	cuts  []int // where pieces of out end
	limit int   // of out
	steps int
	work  int
	until time.Time
	err   error // the limit that was passed; it stands, whatever a template makes of it
}

// reset begins a run that appends to out.
func (r *run) reset(out []byte, cuts []int) {
	*r = run{out: out, cuts: cuts, limit: len(out) + maxOutput, until: time.Now().Add(maxTime)}
}

// Write is where the template's output goes.
func (r *run) Write(p []byte) (int, error) {
	if len(r.out)+len(p) > r.limit {
		return 0, r.over(fmt.Sprintf("writes more than %d octets", maxOutput))
	}
	r.out = append(r.out, p...)
	return len(p), r.spend(1)
}

// step counts n nodes that are about to be evaluated.
func (r *run) step(n int) (string, error) { return "", r.spend(n) }

func (r *run) spend(n int) error {
	if r.err != nil {
		return r.err
	}
	before := r.steps
	if r.steps += n; r.steps > maxSteps {
		return r.over(fmt.Sprintf("takes more than %d steps", maxSteps))
	}
	if before>>10 != r.steps>>10 && time.Now().After(r.until) {
		return r.over(fmt.Sprintf("takes longer than %v", maxTime))
	}
	return nil
}

// made counts a value that a function has made.
func (r *run) made(s string) (string, error) {
	if r.work += len(s); len(s) > maxMade || r.work > maxWork {
		return "", r.over(fmt.Sprintf("makes a value of more than %d octets, or %d of them in all", maxMade, maxWork))
	}
	return s, r.spend(1 + len(s)>>12)
}

// cut ends a piece of the output.
func (r *run) cut() string {
	r.cuts = append(r.cuts, len(r.out))
	return ""
}

func (r *run) over(what string) error {
	if r.err == nil {
		r.err = &LimitError{what}
	}
	return r.err
}

// limited is the limit in err, nil when it is about something else.
func limited(err error) *LimitError {
	var l *LimitError
	errors.As(err, &l)
	return l
}
