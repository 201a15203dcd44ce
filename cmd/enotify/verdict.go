package main

import (
	"cmp"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// layVerdicts prints the current verdicts with their cures, then the changes.
func layVerdicts(p *term.Page, found []queue.StoredVerdict) {
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

func layVerdict(p *term.Page, v queue.StoredVerdict) {
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
