// Package queue keeps batches and their recipients in PostgreSQL, and hands
// each recipient to a [Handler] once.
package queue
