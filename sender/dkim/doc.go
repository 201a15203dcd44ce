// Package dkim signs messages (RFC 6376, with the algorithms of RFC 8301 and
// RFC 8463), and keeps the keys for it.
//
//   - directory.go: the keys of a node, files DIR/DOMAIN/SELECTOR.pem
//   - key.go: what a file may hold; making a new one
//   - record.go: the TXT record under which receivers find the public key
//   - sign.go, canonical.go: the DKIM-Signature field
//
// The signer is our own, since most of the work is the same for all recipients
// of a batch and the work of others starts from nothing for each: of the 126 µs that
// go-mail's takes for 10 KB with Ed25519, 100 are the body, which here is
// hashed once. With RSA-2048 the signature itself takes 950 µs, and nothing
// helps but Ed25519 or more processors.
package dkim
