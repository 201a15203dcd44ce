// Package webhook pushes events to the receivers that operators have named, in the
// form of Standard Webhooks (github.com/standard-webhooks/standard-webhooks, read
// 2026-11): a POST of JSON with the headers webhook-id, webhook-timestamp and
// webhook-signature.
//
// A [Runner] is part of each node. It gives numbers to new events, so that they can
// be read at all, claims webhooks that have something to get, and sends to each one
// message at a time: its events arrive in order. What is not acknowledged by a status
// of 2xx is sent again, with growing waits, for days. A node that dies leaves a claim
// that ends by itself; the next node sends again whatever was not acknowledged. So
// each event arrives at least once, and its id says whether it is known.
//
// Begin with runner.go. post.go is one message, dial.go says to which addresses.
package webhook
