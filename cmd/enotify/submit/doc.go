// Package submit takes batches over HTTP, for applications that cannot speak SQL
// (run --submit). It can do nothing that SQL cannot: it calls the functions that an
// application calls, as the login that the bearer token is of.
//
// A request goes through four stages, each with bounds of its own:
//
//	listen.go   connections: how many in all, and of one address
//	door.go     the token: is it known, and has it requests left
//	body.go     the body: read from the network to a file, checked as it comes
//	batch.go    the database: one transaction, at its own speed
//
// So a slow client holds a file and no transaction, and one token's flood waits for
// itself. The transaction of a large body that comes fast begins before its end:
// headstart.go. openapi.json describes the interface; a test compares it with the code.
package submit
