package demo

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/insight"
)

// sumUp says how it ended, why, and what an operator would do next.
func (d *demo) sumUp(ctx context.Context, interrupted bool) error {
	now, err := d.look(ctx)
	if err != nil {
		return err
	}
	if err := d.tell(ctx, now); err != nil {
		return err
	}
	d.screen.Redraw(nil)
	how := "nothing more can be delivered soon"
	if interrupted {
		how = "interrupted"
	}
	d.screen.Heading("After %.1f s: %s", time.Since(d.screen.Began).Seconds(), how)
	if err := d.tabulate(now); err != nil {
		return err
	}
	d.screen.Line("\n%s", d.screen.Paint("What happened, and what an operator would do next", term.Bold))
	for _, explain := range []func(context.Context, snapshot) error{d.explainBlocked, d.explainUntried,
		d.explainFailures, d.explainInvalid, d.account} {
		if err := explain(ctx, now); err != nil {
			return err
		}
	}
	return nil
}

// tabulate gives the figures of all batches and receivers.
func (d *demo) tabulate(now snapshot) error {
	p := d.screen.Page()
	rows, sum := [][]string{}, tallied{}
	for _, b := range now.batches {
		t := tallyOf(b)
		rows = append(rows, t.row(b.IdemKey))
		for i := range t {
			sum[i] += t[i]
		}
	}
	if len(rows) > 1 {
		rows = append(rows, sum.row("all"))
	}
	p.Table([]string{"BATCH", "TOTAL", "DELIVERED", "DEFERRED", "BOUNCED", "SUPPRESSED", "INVALID", "BLOCKED"}, rows...)
	p.Line("")
	rows = nil
	for _, h := range now.hosts {
		if s := h.host.server; s != nil {
			rows = append(rows, []string{h.host.domain, figures.Count(s.Delivered()), strconv.Itoa(s.Peak()),
				strconv.Itoa(s.Refused())})
		}
	}
	p.Table([]string{"RECEIVER", "RECEIVED", "CONNECTIONS AT MOST", "TURNED AWAY"}, rows...)
	return p.Flush()
}

// A tallied batch is a row of the table: total, delivered, deferred, bounced,
// suppressed, invalid, blocked.
type tallied [7]int

func tallyOf(b queue.Status) tallied {
	t := tallied{b.Total, b.Delivered, b.Deferred, b.Bounced, b.Suppressed, b.Invalid}
	if b.State == "blocked" {
		t[6] = b.Pending
	}
	return t
}

func (t tallied) row(name string) []string {
	row := []string{name}
	for _, n := range t {
		row = append(row, figures.Count(n))
	}
	return row
}

func (d *demo) explainBlocked(ctx context.Context, now snapshot) error {
	for _, b := range now.batches {
		if b.State != "blocked" {
			continue
		}
		d.screen.Paragraph("%s is blocked: receivers that check SPF would have refused all of it.", b.IdemKey)
		if err := d.showVerdict(ctx, b.Client); err != nil {
			return err
		}
		d.screen.Fact("next", fmt.Sprintf("have %s correct its record. The guard looks again by itself, and at once with", b.Client))
		d.screen.Fact("", fmt.Sprintf("enotify batch resume %d", b.ID))
	}
	return nil
}

// explainUntried counts the recipients that were not tried when the demo was interrupted.
func (d *demo) explainUntried(_ context.Context, now snapshot) error {
	for _, b := range now.batches {
		if n := b.Pending + b.Sending; n > 0 && b.State != "blocked" {
			d.screen.Paragraph("%s of %s: not tried yet.", figures.Some(n, "recipient"), b.IdemKey)
		}
	}
	return nil
}

// verdictsRead are the latest verdicts on a client.
const verdictsRead = 30

// showVerdict shows the record at fault, and what would cure it.
func (d *demo) showVerdict(ctx context.Context, client string) error {
	found, err := d.db.Verdicts(ctx, client, verdictsRead)
	for _, v := range found {
		if v.SupersededAt != nil || !v.Blocks {
			continue
		}
		fmt.Fprintf(d.screen, "  record    %s\n", cmp.Or(v.Record, "none"))
		d.screen.Fact("why", v.Explanation)
		if v.Fix != "" {
			fmt.Fprintf(d.screen, "  publish   %s\n", v.Fix) // in one piece: it is to be copied
		}
	}
	return err
}

// explainFailures says, by receiver, why recipients did not get their message.
func (d *demo) explainFailures(ctx context.Context, now snapshot) error {
	for _, b := range now.batches {
		failures, err := insight.Of(d.db).Failures(ctx, b.ID, failuresSeen)
		if err != nil {
			return err
		}
		for _, f := range failures {
			switch {
			case f.State == string(queue.Deferred):
				err = d.explainDeferred(ctx, b, f)
			case f.Class == string(queue.NoSuchUser):
				err = d.explainGone(ctx, b, f)
			case f.State == string(queue.Bounced):
				d.screen.Paragraph("%s of %s: refused at %s.", figures.Some(f.N, "recipient"), b.IdemKey, f.Domain)
				d.screen.Fact("why", f.Reply)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *demo) explainDeferred(ctx context.Context, b queue.Status, f insight.Failure) error {
	due, err := insight.Of(d.db).NextDue(ctx, b.ID)
	if err != nil || due == nil {
		return err
	}
	d.screen.Paragraph("%s of %s: deferred at %s.", figures.Some(f.N, "recipient"), b.IdemKey, f.Domain)
	d.screen.Fact("why", f.Reply)
	d.screen.Fact("next", fmt.Sprintf("nothing to do: tried again from %s on, less and less often, until the batch expires at %s",
		due.Local().Format("15:04:05"), b.ExpiresAt.Local().Format("2006-01-02 15:04")))
	return nil
}

const sparedSQL = `
SELECT count(*) FROM enotify.delivery d JOIN enotify.suppression s ON s.address = lower(d.address)
  AND s.cause = 'no_such_user'
WHERE d.state = 'suppressed' AND d.domain = $1`

func (d *demo) explainGone(ctx context.Context, b queue.Status, f insight.Failure) error {
	var spared int
	if err := d.operator.QueryRow(ctx, sparedSQL, f.Domain).Scan(&spared); err != nil {
		return err
	}
	later := ""
	if spared > 0 {
		later = "; later messages not even tried: " + figures.Count(spared)
	}
	d.screen.Paragraph("%s of %s: no such user at %s. Suppressed at once, for all clients%s.",
		figures.Some(f.N, "recipient"), b.IdemKey, f.Domain, later)
	d.screen.Fact("why", f.Reply)
	d.screen.Fact("next", fmt.Sprintf("have %s take them off its lists:", b.Client))
	d.screen.Fact("", "enotify suppression list --match "+f.Domain)
	return nil
}

const invalidSQL = `SELECT address, reply FROM enotify.delivery WHERE state = 'invalid' ORDER BY batch_id, seq LIMIT 3`

func (d *demo) explainInvalid(ctx context.Context, now snapshot) error {
	n := 0
	for _, b := range now.batches {
		n += b.Invalid
	}
	if n == 0 {
		return nil
	}
	d.screen.Paragraph("%s: no usable address or data. The others were sent to.", figures.Some(n, "recipient"))
	rows, err := d.operator.Query(ctx, invalidSQL)
	if err != nil {
		return err
	}
	var address, why string
	_, err = pgx.ForEachRow(rows, []any{&address, &why}, func() error {
		d.screen.Fact("", address+": "+why)
		return nil
	})
	return err
}

// account compares what the receivers have with what the database says.
func (d *demo) account(ctx context.Context, now snapshot) error {
	delivered := 0
	for _, b := range now.batches {
		delivered += b.Delivered
	}
	received, again := d.bag.received()
	if received == delivered && again == 0 {
		d.screen.Paragraph("The receivers have all %s that are recorded as delivered, and none of them twice.",
			figures.Some(delivered, "message"))
	} else {
		d.screen.Paragraph("%s recorded as delivered, but the receivers have %s, and %s of them twice.",
			figures.Some(delivered, "message"), figures.Count(received), figures.Count(again))
	}
	audits, err := insight.Of(d.db).Audit(ctx, 0)
	if err != nil {
		return err
	}
	for _, a := range audits {
		for _, problem := range a.Problems {
			d.screen.Fact("audit", fmt.Sprintf("batch %d: %s", a.Batch, problem))
		}
	}
	octets, sample := d.bag.left()
	if sample == "" {
		return nil
	}
	d.screen.Fact("messages", fmt.Sprintf("%s in .eml files (%s KiB) are all that is left on this machine. One of them:", figures.Some(received, "message"), figures.Count(octets>>10+1)))
	d.screen.Line("            %s", sample)
	d.screen.Fact("", "remove them with:")
	d.screen.Line("            rm -r %s", d.bag.dir)
	return nil
}
