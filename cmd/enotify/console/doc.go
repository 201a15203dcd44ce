// Package console is the web page on which an operator sees all batches, and pauses,
// resumes, cancels and requeues batches and sets limits.
//
// A page is made of parts. The [board] loads each part at most once in its time, however
// many people look at it, through one connection to the database, and tells the streams of
// the open pages which parts have changed. A page that nobody looks at is not loaded. The
// templates work without JavaScript; a script of one file puts changed parts in place.
//
// Without tokens and client certificates only this machine gets in, and what is done is
// recorded under the user of the process. What changes something is asked for by GET, done
// by POST with the token of the session, on a connection of its own that names the person.
package console
