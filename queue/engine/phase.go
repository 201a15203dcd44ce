package engine

// A phase says how far a node may rely on what it last read from the database.
// Each phase asks for everything that the one before it asks for.
//
//	steady  lanes are as the database has them
//	stale   the next heartbeat reads the lanes again; meanwhile the fences stop what has changed
//	halted  nothing begins before a heartbeat has succeeded
//	unsure  that heartbeat first takes back what was intended and not begun; no group is given back before
//
// Transitions:
//
//	to stale   the turn or a lease changed hands, a batch may be sent again, or a fence stopped a pick
//	to halted  a heartbeat or a deferral failed
//	to unsure  an intent failed: it may have been written although no answer came
//	to steady  a heartbeat has succeeded; nothing else makes a phase better
type phase int

const (
	steady phase = iota
	stale
	halted
	unsure
)

// worsen moves to a phase, unless it is in a worse one.
func (p *phase) worsen(to phase) { *p = max(*p, to) }
