// Package listen takes the addresses that flags name, and bounds the connections of a
// listener that strangers may reach: how many there are at once, and how many of one
// address. When there is no place, a connection without a request makes room, so that idle
// ones keep nobody out.
package listen
