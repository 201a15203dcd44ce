package main

import (
	"cmp"
	"context"
	"net/netip"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// A verdict is what the guard found for one egress address, as the verbs that
// show a client or a batch print it.
type verdict struct {
	Identity     string     `json:"identity"`
	Domain       string     `json:"domain"`
	Egress       netip.Addr `json:"egress"`
	Result       string     `json:"result"`
	Blocks       bool       `json:"blocks"`
	Record       string     `json:"record"`
	Explanation  string     `json:"explanation"`
	Fix          string     `json:"fix"`
	Since        time.Time  `json:"since"`
	CheckedAt    time.Time  `json:"checked_at"`
	SupersededAt *time.Time `json:"superseded_at"`
}

// verdictsOn lists the latest verdicts on a client, current ones first.
func verdictsOn(ctx context.Context, db *queue.DB, client string) ([]verdict, error) {
	stored, err := db.Verdicts(ctx, client, verdictsShown)
	if err != nil {
		return nil, err
	}
	found := make([]verdict, len(stored))
	for i, v := range stored {
		found[i] = verdict{v.Identity, v.Domain, v.Egress, v.Result, v.Blocks, v.Record, v.Explanation, v.Fix, v.Since, v.CheckedAt, v.SupersededAt}
	}
	return found, nil
}

// layVerdicts prints the current verdicts with their cures, then the changes.
func layVerdicts(p *term.Page, found []verdict) {
	p.Heading("Guard")
	var past [][]string
	for _, v := range found {
		if v.SupersededAt != nil {
			past = append(past, []string{figures.Clock(v.Since), figures.Clock(*v.SupersededAt), v.Egress.String(), v.Result, term.Clip(v.Explanation, 90)})
			continue
		}
		layVerdict(p, v)
	}
	if len(found) == 0 {
		p.Line("not checked yet: the guard looks before the first batch is sent; enotify spf check looks now")
	}
	if len(past) > 0 {
		p.Heading("Earlier verdicts")
		p.Table([]string{"FROM", "UNTIL", "EGRESS", "RESULT", "WHY"}, past...)
	}
}

func layVerdict(p *term.Page, v verdict) {
	effect := "does not block"
	if v.Blocks {
		effect = "blocks the client's batches"
	}
	p.Line("%s for %s from %s: %s, since %s, checked %s ago", p.Paint(v.Result, term.StyleOf(v.Result)), v.Domain, v.Egress, effect, figures.Clock(v.Since), figures.Span(p.Now.Sub(v.CheckedAt)))
	var rows [][]string
	if v.Identity != "dkim" {
		rows = append(rows, []string{"  record", cmp.Or(v.Record, "none")})
	}
	if v.Explanation != "" {
		rows = append(rows, []string{"  why", v.Explanation})
	}
	if v.Fix != "" {
		rows = append(rows, []string{"  publish", v.Fix})
	}
	p.Table(nil, rows...)
}
