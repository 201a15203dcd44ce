// Package tlsrpt counts how TLS with mail hosts ended, and writes the daily reports
// that domains ask for (TLS-RPT, RFC 8460): a domain whose certificate has expired,
// or that somebody on the way attacks, learns of it from its senders.
//
//	sender --Note--> Tally --Take--> database --a day later--> Report --mail, https--> rua
//
// The package knows neither the database nor the network, but for [Post].
package tlsrpt
