// Package warmup decides how many messages a day may leave from an address that
// receivers do not know yet. It is pure: what was sent on a day comes in, the step
// of the next day goes out. Whoever counts messages, and keeps the step, is package
// queue/engine.
//
// A plan is a list of caps, one for each step. A day with at least half of its cap
// moves the plan on; a day that receivers did not like keeps it where it is, or sets
// it back by one step. After the last step there is no cap: the address is warm.
package warmup
