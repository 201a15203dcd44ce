// Package addresses shows egress addresses, their pools, and plans of warm-up against
// what was sent.
package addresses
