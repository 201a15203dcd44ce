package cure

import (
	"context"
	"html/template"
	"net/netip"

	"enotify/cmd/enotify/preflight"
)

// Offer is what a client's page offers for the records that are not right yet: one click,
// where the client's DNS provider can do it, and files for people who edit zones. It is ""
// when all records are right.
func Offer(ctx context.Context, connect *Connector, in *preflight.Input, report *preflight.Report) (template.HTML,
	error) {
	var lines []string
	for _, l := range report.Setup {
		if l.State != "right" {
			lines = append(lines, l.Zone)
		}
	}
	var egress []netip.Addr
	for _, e := range in.Egress {
		egress = append(egress, e.Addr)
	}
	plan, err := NewPlan(ctx, in.DNS, in.Client, egress, lines)
	if err != nil || len(plan.Changes) == 0 {
		return "", err
	}
	if !connect.On() {
		return plan.Card(nil, "")
	}
	link, err := connect.Link(ctx, in.DNS, plan)
	if err != nil {
		return plan.Card(nil, err.Error())
	}
	return plan.Card(&link, "")
}
