// Package judge decides whether receivers will take a client's mail from each of
// our egress addresses. The guard enforces its verdicts, and a preflight shows
// them: both call [Judge.Mail], so they never disagree.
//
//	mailfrom  SPF of the envelope sender's domain: fail and permerror block
//	from      SPF of the From: domain, where it is another one: the same
//	dmarc     the policy of the From: domain, where neither SPF nor DKIM can pass
//	          aligned: reject blocks, quarantine warns
//	dkim      the keys that sign, for a program that cannot read the nodes' files; one
//	          that should sign and cannot blocks
//
// A verdict that the DNS could not give is a temperror: the client's batches wait.
package judge
