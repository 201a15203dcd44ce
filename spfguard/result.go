package spfguard

// A Result is what check_host() returns (RFC 7208 §2.6).
type Result string

const (
	None      Result = "none"      // no record, or no domain to look under
	Neutral   Result = "neutral"   // the domain makes no statement
	Pass      Result = "pass"      // authorised
	Fail      Result = "fail"      // not authorised
	SoftFail  Result = "softfail"  // probably not authorised
	TempError Result = "temperror" // DNS could not say; ask again later
	PermError Result = "permerror" // the records cannot be interpreted
)

// A Decision is what a sender does about a Result.
type Decision string

const (
	Send  Decision = "send"
	Warn  Decision = "warn"  // send; receivers may think less of it
	Wait  Decision = "wait"  // ask again before sending
	Block Decision = "block" // receivers will refuse it
)

// Decide says what to do about a batch whose identity gets r.
func (r Result) Decide() Decision {
	switch r {
	case Pass:
		return Send
	case Fail, PermError:
		return Block
	case TempError:
		return Wait
	default:
		return Warn
	}
}

// Worse reports whether d weighs more than other: over several addresses the
// worst decides, and an answer that would block needs no waiting for others.
func (d Decision) Worse(other Decision) bool { return d.weight() > other.weight() }

func (d Decision) weight() int {
	switch d {
	case Block:
		return 3
	case Wait:
		return 2
	case Warn:
		return 1
	default:
		return 0
	}
}
