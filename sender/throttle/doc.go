// Package throttle decides how fast mail may go: so many messages a second to
// a recipient domain, so many connections at once to a site, which is all
// domains served by the same mail servers.
//
// Nobody sleeps in it. Whoever wants to send asks [Throttle.Admit], which takes
// the time as an argument and says at once how many messages may begin, and
// when to ask again for the rest; [Throttle.Done] is told of every result. The
// connections are asked for with [Throttle.Connect].
//
// The rate is policy alone, and exact: in any window no more than rate × window
// + burst messages begin, also across a restart, since a bucket starts empty.
// The number of connections is learned within the policy, see [Pace].
package throttle
