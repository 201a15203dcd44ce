package preflight

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"enotify/cmd/enotify/judge"
)

// A check answers its rows. It says nothing of a row that does not apply;
// then the row is not in the report.
type check struct {
	rows []string
	run  func(ctx context.Context, in *Input) []Finding
}

var checks = []check{
	{[]string{"spf.pass", "spf.from", "spf.lookups", "spf.strict", "spf.all", "spf.helo"}, checkSPF},
	{[]string{"dkim.key"}, checkDKIM},
	{[]string{"dkim.sign"}, checkSignature},
	{[]string{"dmarc.record", "dmarc.align", "dmarc.rua"}, checkDMARC},
	{[]string{"ptr.fcrdns", "ip.v6"}, checkNames},
	{[]string{"dnsbl"}, checkLists},
	{[]string{"mx.return"}, checkReturn},
	{[]string{"tls.mtasts", "tls.rpt"}, checkTLS},
	{[]string{"hdr.from"}, checkFrom},
	{[]string{"hdr.5322", "hdr.merge", "body.size", "body.text", "unsub.header"}, checkMessage},
	{[]string{"unsub.works"}, checkUnsubscribe},
	{[]string{"rcpt.syntax", "rcpt.dup", "rcpt.suppressed", "rcpt.role", "rcpt.nomx", "rcpt.nullmx", "mx.private",
		"rcpt.typo", "rcpt.provider", "rcpt.new"}, checkRecipients},
	{[]string{"hist.bounce", "warmup"}, checkHistory},
	{[]string{"hist.complaint"}, checkComplaints},
}

// Run makes all checks that in allows for, at once.
func Run(ctx context.Context, in *Input) (*Report, error) {
	r := &Report{Schema: Schema, Kind: OfBatch, At: in.Now.UTC(), Subject: in.subject()}
	if in.Batch == nil {
		r.Kind = OfClient
	}
	in.opinion, in.foretold = in.judge(ctx), in.foretell()
	found := make([][]Finding, len(checks))
	var all sync.WaitGroup
	for i, c := range checks {
		if in.Batch == nil && !clientRows[c.rows[0]] {
			continue
		}
		all.Go(func() { found[i] = c.run(ctx, in) })
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	r.Findings = slices.Concat(found...)
	if r.Kind == OfClient {
		r.Findings = slices.DeleteFunc(r.Findings, func(f Finding) bool { return !clientRows[f.ID] })
	} else {
		r.Sites, r.Bounces = in.sites(), in.Bounces
		r.Summary.Recipients, r.Summary.Sendable = in.Census.Given, in.sendable()
		r.Findings = append(r.Findings, in.forecast(r))
		r.Findings = append(r.Findings, in.receiverRules(ctx, r)...)
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return slices.Index(IDs(), a.ID) - slices.Index(IDs(), b.ID)
	})
	for i := range r.Findings {
		in.finish(&r.Findings[i])
	}
	if r.Kind == OfClient {
		r.Setup = setup(r)
	}
	r.conclude()
	return r, nil
}

// finish fills in what every finding of a row has in common.
func (in *Input) finish(f *Finding) {
	row := rowOf(f.ID)
	f.Title = row.title
	if f.Severity == Block || f.Severity == Warn {
		if f.Rejects == nil {
			f.Rejects = row.rejects
		}
		f.Title = cmp.Or(row.trouble, row.title)
		switch {
		case f.Enforced:
			f.Effect = "enotify sends nothing until this is cured"
		case leftOut[f.ID]:
			f.Effect = "enotify sends nothing to these recipients"
		default:
			f.Effect = "advice: enotify sends all the same"
		}
	}
	if f.Recheck == "" && (f.Severity == Block || f.Severity == Warn || f.Severity == NotChecked) {
		f.Recheck = in.recheck(f.ID)
	}
}

// recheck is the command that looks at a row again.
func (in *Input) recheck(id string) string {
	switch {
	case strings.HasPrefix(id, "spf."):
		return "enotify spf check " + in.mailFromDomain() + in.ipFlag("--ip")
	case clientRows[id]:
		return "enotify client check " + in.Client + in.ipFlag("--egress")
	case in.BatchID != 0:
		return "enotify preflight " + itoa(in.BatchID)
	default:
		return ""
	}
}

// unsure is a finding of a check that could not be made because of err.
func unsure(id string, err error) Finding {
	return Finding{ID: id, Severity: NotChecked, Unanswered: !errors.Is(err, judge.ErrUnknownKeys),
		Found: "Nobody could say: " + err.Error() + "."}
}
