// Package throttle decides how fast mail may go: so many messages a second to
// a recipient domain, so many connections at once to a site, which is all
// domains served by the same mail servers.
//
// Nobody sleeps in it. A caller that wants to send asks [Throttle.Admit], which takes
// the time as an argument and says at once how many messages may begin, and
// when to ask again for the rest; [Throttle.Done] is told of every result. The
// connections are asked for with [Throttle.Connect].
//
// What an operator allows is exact: in any window no more than rate × window +
// burst messages begin, to a domain, and to all domains of a site together. It
// holds across a restart too, since a bucket starts empty, or, where the rate
// is slow, as full as it was: see memory.go. Within that, the connections and
// the rate that a site bears are learned, see [Pace]; an egress address that it
// blocks is held, see [Hold].
package throttle
