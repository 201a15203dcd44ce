// Package events reads what happened to recipients, batches and clients, and keeps
// the webhooks to which nodes push it.
//
//	event    events, their numbers, and which clients' events are recorded
//	webhook  receivers, what each of them gets next, and tries that failed
//
// Functions of the schema write an event in the transaction of its fact. Package
// cmd/enotify/webhook pushes.
package events
