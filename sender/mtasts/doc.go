// Package mtasts finds the policies by which domains ask that mail for them is
// encrypted and its host authenticated (MTA-STS, RFC 8461).
//
// A policy is announced in DNS and fetched by HTTPS. Anybody on the way can
// suppress both, so a policy that was fetched once holds until its max_age is
// over: it is kept in a [Store] that outlives the process.
package mtasts
