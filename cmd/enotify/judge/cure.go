package judge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"enotify/queue"
	"enotify/sender/dkim"
	"enotify/spfguard"
)

// cures finds lines to publish, each once.
type cures struct {
	ctx   context.Context
	judge *Judge
	spf   *spfguard.Checker
	mail  Mail
	known map[string]cure
}

type cure struct{ line, ask string }

// mend adds to a verdict of SPF the line under which every egress address passes,
// or what has to be answered first.
func (c *cures) mend(v *queue.Verdict, domain, sender string) {
	found := c.of(domain, sender)
	v.Fix = found.line
	if found.ask != "" {
		v.Explanation += " " + found.ask
	}
}

// of is the zone line of a domain under which every egress address passes, "" when there is
// none. ask is what else has to be done, or answered first.
func (c *cures) of(domain, sender string) (found cure) {
	if known, ok := c.known[domain]; ok {
		return known
	}
	if c.known == nil {
		c.known = map[string]cure{}
	}
	defer func() { c.known[domain] = found }()
	q := spfguard.FixQuery{Domain: domain, Sender: sender}
	for _, e := range c.mail.Egress {
		q.Egress = append(q.Egress, e.Addr)
		q.HELO = e.HELO
	}
	fix, err := c.spf.Fix(c.ctx, q)
	var doubt *spfguard.DoubtError
	if errors.As(err, &doubt) {
		return cure{ask: "Ask the client, since the record names senders that a new one must not leave out: " +
			doubt.Ask()}
	}
	if err != nil {
		if c.judge.Log != nil {
			c.judge.Log.Warn("no fix was found for a record that blocks", "domain", q.Domain, "error", err, "next",
				"enotify spf fix "+q.Domain)
		}
		return cure{}
	}
	for _, text := range fix.Delete {
		found.ask += fmt.Sprintf("Delete the TXT record %q. ", text)
	}
	if fix.Changed() {
		found.line = spfguard.ZoneLine(fix.Domain, fix.After)
	}
	found.ask = strings.TrimSpace(found.ask)
	return found
}

// align adds to a verdict of DMARC what makes one of the two proofs hold. The line
// of a key that signs already comes first: it survives forwarding.
func (c *cures) align(v *queue.Verdict, o Opinion) {
	client := c.mail.Client
	switch {
	case len(o.Proofs.broken) > 0 && strings.EqualFold(o.Proofs.broken[0].Key.Domain, client):
		k := o.Proofs.broken[0].Key
		v.Fix = spfguard.ZoneLine(k.Name(), dkim.Record(k.Public))
	case o.Proofs.SPF.Aligned:
		c.mend(v, o.MailFrom[0].Domain, c.mail.MailFrom)
		v.Explanation += " " + signs(client)
	default:
		c.mend(v, client, c.mail.From)
		v.Explanation += fmt.Sprintf(" %s Or take an envelope sender at %s (enotify client set %s --return-path ADDRESS).", signs(client), client, client)
	}
}

// signs says how to sign a client's mail.
func signs(client string) string {
	return fmt.Sprintf("Sign the mail: enotify client key %s --selector s1 --dkim-dir DIR, publish the line that it prints, then enotify client set %s --dkim-selector s1.", client, client)
}
