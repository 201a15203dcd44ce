// Package forecast says how long the batches of the queue will take. Preflight,
// batch list, batch show and batch watch say what it says.
//
//	plan      what a forecast goes by: the batches in the order of their turns, limits, hours, quotas
//	read      the plan of a database
//	simulate  a plan, sent in thought: a pure function
//	words     a forecast in a line
//
// The sender's own rules decide how fast a site is sent to: [throttle.Pace] and the
// policies of package throttle. A message is taken for a fluid that buckets and
// connections let through, so that a million recipients cost as little as a hundred.
//
// A forecast does not know of refusals to come, of nodes that join or die, or of
// batches that are submitted later.
package forecast
