// Package window tells when a window is open: the hours of the week within which
// a batch or a client may send.
//
// The function read_window of the schema is the one parser of what people write.
// It refuses what is no window, and writes the others in one form, which [Read]
// takes: spans with days and hours, then the time zone. A node works out here when
// a window opens and closes, by the time zones built into the program, and writes
// that to the table send_window; the fences in SQL compare times, and no more.
//
// A window is open while a clock in its zone shows a time within one of its spans.
// So an hour that clocks skip never comes, a span that begins in it opens when they
// are set forward, and an hour that comes twice is in the window twice.
package window
