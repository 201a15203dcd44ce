package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"enotify/queue"
	"enotify/queue/tlsreports"
	"enotify/sender"
	"enotify/sender/mtasts"
	"enotify/sender/tlsrpt"
	"enotify/spfguard/dns"
)

// tlsReports keeps in the database how TLS with mail hosts ended, and sends the
// reports on it that recipient domains ask for (RFC 8460).
type tlsReports struct {
	db     *queue.DB
	store  tlsreports.Store
	mail   *sender.Sender
	tally  *tlsrpt.Tally
	from   tlsrpt.Sender // Address "" sends none
	log    *slog.Logger
	alert  func(context.Context, queue.Alert)
	unable bool // the alert that none can be sent was raised
}

const (
	keepEvery   = 10 * time.Second // of what was counted
	reportEvery = time.Minute      // how often it is looked which reports are due

	// A kill costs the counts of so long, and a database that answered too late may
	// have counted twice: they are statistics.

	claimedAtOnce = 50
	askedAtOnce   = 8
	giveUpAfter   = 26 * time.Hour // from the end of the day; RFC 8460 §5.5 asks for a day of tries
)

func (t *tlsReports) run(ctx context.Context) {
	keep, report := time.NewTicker(keepEvery), time.NewTicker(reportEvery)
	defer keep.Stop()
	defer report.Stop()
	t.report(ctx)
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			t.keep(last)
			return
		case <-keep.C:
			t.keep(ctx)
		case <-report.C:
			t.report(ctx)
		}
	}
}

// keep writes what was counted, a thousand rows at a time. What cannot be written is
// kept for the next time.
func (t *tlsReports) keep(ctx context.Context) {
	counts, lost := t.tally.Take()
	if lost > 0 {
		t.log.Warn("results of TLS were not counted: there were too many at once", "sessions", lost)
	}
	for part := range slices.Chunk(counts, 1000) {
		rows := make([]tlsreports.Result, len(part))
		for i, c := range part {
			rows[i] = tlsreports.Result(c)
		}
		if err := t.store.Note(ctx, rows); err != nil {
			t.tally.PutBack(part)
			if ctx.Err() == nil {
				t.log.Warn("results of TLS could not be kept; trying again", "error", err)
			}
		}
	}
}

// report sends the reports that are due.
func (t *tlsReports) report(ctx context.Context) {
	if err := t.store.Forget(ctx); err != nil && ctx.Err() == nil {
		t.log.Warn("old results of TLS could not be removed", "error", err)
	}
	if t.from.Address == "" || !t.able(ctx) {
		return
	}
	for ctx.Err() == nil {
		due, err := t.store.Claim(ctx, claimedAtOnce)
		if err != nil && ctx.Err() == nil {
			t.log.Warn("reports on TLS could not be looked for", "error", err)
		}
		if len(due) == 0 {
			return
		}
		var group errgroup.Group
		group.SetLimit(askedAtOnce)
		for _, r := range due {
			group.Go(func() error {
				if err := t.send(ctx, r); err != nil && ctx.Err() == nil {
					t.log.Warn("a report on TLS was not sent; it is tried again", "domain", r.Domain, "day",
						r.Day.Format(time.DateOnly), "error", err)
				}
				return nil
			})
		}
		_ = group.Wait() // errors were logged
	}
}

// able looks whether the address of the reports can send: receivers ignore reports
// without a DKIM signature of its domain (RFC 8460 §3).
func (t *tlsReports) able(ctx context.Context) bool {
	domain := t.from.Domain()
	client, err := t.db.Client(ctx, domain)
	next, why := "enotify client add "+domain, "its domain is no client"
	switch {
	case err == nil && (len(client.Selectors) > 0 || t.mail.Operator != nil &&
		strings.EqualFold(t.mail.Operator.Domain, domain)):
		t.unable = false
		return true
	case err == nil:
		next, why = "enotify client key "+domain+" --selector s1", "no DKIM key signs mail of its domain"
	case !errors.Is(err, queue.ErrNotFound):
		t.log.Warn("reports on TLS wait for the database", "error", err)
		return false
	}
	if !t.unable {
		t.unable = true
		t.alert(ctx, queue.Alert{Kind: queue.AlertTLSReports, Text: "no report on TLS is sent from --tls-report-from " +
			t.from.Address + ": " + why, Next: next})
	}
	return false
}

// send carries one report as far as it can be carried now. An error is temporary.
func (t *tlsReports) send(ctx context.Context, r tlsreports.Report) error {
	late := time.Since(r.Day.Add(24*time.Hour)) > giveUpAfter
	answer, err := t.mail.Resolver.TXT(ctx, "_smtp._tls."+r.Domain)
	if err != nil && !errors.Is(err, dns.ErrNXDomain) && !errors.Is(err, dns.ErrNoData) {
		if late {
			return t.store.Finish(ctx, r, "not sent: the DNS did not say where reports go: "+err.Error())
		}
		return err
	}
	wanted := tlsrpt.Destinations(answer.Records)
	if len(wanted) == 0 {
		return t.store.Finish(ctx, r, "not sent: the domain asks for no reports")
	}
	report, content, err := t.write(ctx, r)
	if err != nil {
		return t.store.Finish(ctx, r, "not sent: "+err.Error())
	}
	result, err := t.deliver(ctx, r, report, content, wanted)
	if err != nil && !late {
		return err
	}
	if err != nil {
		result = append(result, "given up: "+err.Error())
	}
	return t.store.Finish(ctx, r, strings.Join(result, "; "))
}

func (t *tlsReports) write(ctx context.Context, r tlsreports.Report) (*tlsrpt.Report, []byte, error) {
	rows, err := t.store.Results(ctx, r.Domain, r.Day)
	if err != nil {
		return nil, nil, err
	}
	counts := make([]tlsrpt.Count, len(rows))
	for i, row := range rows {
		counts[i] = tlsrpt.Count(row)
	}
	report, err := tlsrpt.NewReport(t.from, r.Installation, r.Domain, r.Day.UTC(), counts)
	if err != nil {
		return nil, nil, err
	}
	content, err := report.Gzip()
	return report, content, err
}

// deliver mails and posts a report. It says what was done; the error is about what
// was not. The mail is queued exactly once; an https address that took the report
// while we were killed gets it again, with the same report-id.
func (t *tlsReports) deliver(ctx context.Context, r tlsreports.Report, report *tlsrpt.Report, content []byte,
	wanted []tlsrpt.Destination) (done []string, err error) {
	m := tlsreports.Mail{
		From: t.from.Address, Subject: report.Subject(), Text: report.Text(), Headers: report.Headers(),
		Filename: report.Filename(), Content: content,
	}
	for _, d := range wanted {
		switch {
		case d.Mail != "":
			m.To = append(m.To, d.Mail)
		case !slices.Contains(r.Posted, d.Page):
			failed := tlsrpt.Post(ctx, t.dial, d.Page, content)
			if failed == nil {
				failed = t.store.Posted(ctx, r, d.Page)
			}
			if failed != nil {
				err = errors.Join(err, failed)
				continue
			}
			fallthrough
		default:
			done = append(done, "posted to "+d.Page)
		}
	}
	if len(m.To) == 0 {
		return done, err
	}
	batch := r.BatchID
	if batch == nil {
		var failed error
		if batch, failed = t.store.Send(ctx, r, m); failed != nil {
			return done, errors.Join(err, failed)
		}
	}
	if batch != nil {
		done = append(done, fmt.Sprintf("mailed in batch %d", *batch))
	}
	return done, err
}

// dial connects to an https address of a stranger, and nowhere where mail may not go.
func (t *tlsReports) dial(ctx context.Context, host, port string) (net.Conn, error) {
	f := mtasts.Fetcher{Resolver: t.mail.Resolver, Barred: t.mail.Barred}
	return f.Dial(ctx, host, port)
}
