// Package dns asks one recursive DNS server, remembers the answers for as long
// as they may be remembered, and tells the three kinds of "no" apart that SPF
// and SMTP treat differently:
//
//   - [ErrNXDomain]: the name does not exist (RFC 2308 §2.1)
//   - [ErrNoData]: the name exists, but has no record of the type asked for (RFC 2308 §2.2)
//   - any other error: the server could not say. It is temporary: ask again later.
//
// The standard library's resolver hides the TTLs and the first two kinds from
// each other, uses the search list of the host, and takes "192.0.2.9" for a
// host with that address; hence this one.
package dns
