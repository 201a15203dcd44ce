// Package guard keeps the verdicts on the clients fresh: whether receivers will
// take mail of a client from each address that a live node sends from.
//
//	subjects  the clients whose verdict is missing or has run out
//	check     ask the [Checker] for each of them, many at once
//	Judge     record the verdicts; the database blocks or frees the batches
//
// What goes wrong with one client stays with that client: its batches wait and
// say why, and the loop goes on with the others. A client whose checks take long
// shares its places with others like it.
package guard
