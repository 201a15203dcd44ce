// Package cure is what a client does with the records that we ask for: the fields of a
// web panel, a zone file, an nsupdate script, Terraform, or one click at a DNS provider
// that speaks Domain Connect.
package cure
