package main

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/cure"
	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/preflight/gather"
	"enotify/cmd/enotify/preflight/render"
	"enotify/cmd/enotify/recipients"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

func (a *app) preflightCmd() *cobra.Command {
	p := &preflightFlags{app: a}
	var c createFlags
	var watch, last bool
	var every time.Duration
	cmd := &cobra.Command{
		Use: "preflight [BATCH]", Short: "Check a batch before sending: DNS, rejections, duration",
		Args: atMost(1),
		Long: `Checks a draft or queued batch as receivers will: the DNS of the client and of
our servers, one message rendered for every set of merge fields, the recipients
and their domains, what the client sent before, and how long sending will take.
The report is kept with the batch. Without a batch, --from, --recipients and
--text or --html describe what would be sent; nothing is created.

With -o html the report is one page that opens from disk.

Exit codes: 0 ready; 2 a row blocks; 3 warnings, with --strict; 1 the report
could not be made.`,
		Example: `  enotify preflight 42
  enotify preflight 42 -o html > 42.html
  enotify preflight 42 --watch
  enotify preflight --from clerk@town.example --subject Agenda --text agenda.txt --recipients people.csv`,
	}
	p.add(cmd)
	f := cmd.Flags()
	f.BoolVar(&watch, "watch", false, "check again until nothing blocks")
	f.DurationVar(&p.Message, "message-time", 0,
		"time per message on one connection, for the forecast; default: as measured by the live nodes, else 300ms")
	f.DurationVar(&every, "every", 30*time.Second, "with --watch: time between checks")
	f.BoolVar(&last, "last", false, "show the last report that was kept; check nothing")
	c.contentFlags(f)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := p.check(); err != nil {
			return err
		}
		if every < time.Second {
			return exit.Usagef("--every %s: want a second or more", every)
		}
		what, done, err := p.campaign(args, c)
		if err != nil {
			return err
		}
		defer done()
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			if last {
				return p.showLast(ctx, db, what.ID)
			}
			in, r, err := p.report(ctx, db, what)
			if err != nil {
				return err
			}
			if watch {
				if r, err = p.watch(ctx, in, r, every); err != nil {
					return err
				}
			}
			if err := p.store(ctx, db, r, ""); err != nil {
				return err
			}
			if err := p.show(r); err != nil {
				return err
			}
			return p.exit(r)
		})
	}
	return cmd
}

// campaign is what the command line asks about. The caller calls done.
func (p *preflightFlags) campaign(args []string, c createFlags) (what gather.Campaign, done func(), err error) {
	done = func() {}
	if len(args) > 0 {
		if c.from != "" || c.recipients != "" || c.subject != "" || c.text != "" || c.html != "" {
			return what, done, exit.Usagef("give a batch, or --from, --recipients and --text or --html, not both")
		}
		what.ID, err = batchID(args[0])
		return what, done, err
	}
	if c.from == "" {
		return what, done, exit.Usagef("which batch? give its number, or --from, --recipients and --text or --html")
	}
	if c.recipients == "" {
		return what, done, exit.Usagef("--recipients is missing: a CSV file")
	}
	c.onUnknown = string(queue.Hold)
	if err := c.check(); err != nil {
		return what, done, err
	}
	d, err := c.read(p.stdin, time.Now())
	if err != nil {
		return what, done, err
	}
	in, err := openFile(c.recipients, p.stdin)
	if err != nil {
		return what, done, err
	}
	list, err := recipients.NewCSV(in, c.recipients)
	if err != nil {
		in.Close()
		return what, done, err
	}
	return gather.Campaign{Batch: d.Batch, NotBefore: d.NotBefore, Recipients: list.Next}, func() { in.Close() }, nil
}

// report gathers all there is to know, and has it checked.
func (p *preflightFlags) report(ctx context.Context, db *queue.DB, what gather.Campaign) (*preflight.Input,
	*preflight.Report, error) {
	p.DB = db
	defer p.Progress.End()
	in, err := p.Campaign(ctx, what)
	if err != nil {
		return nil, nil, err
	}
	r, err := preflight.Run(ctx, in)
	return in, r, err
}

// store keeps the report with its batch.
func (p *preflightFlags) store(ctx context.Context, db *queue.DB, r *preflight.Report, forced string) error {
	if r.Subject.Batch == 0 {
		return nil
	}
	text, err := r.Encode()
	if err != nil {
		return err
	}
	err = db.KeepPreflight(ctx, r.Subject.Batch,
		queue.KeptPreflight{Verdict: string(r.Summary.Readiness), Line: r.Line(), Forced: forced, Report: text})
	if err != nil {
		return fmt.Errorf("keep the report with batch %d: %w", r.Subject.Batch, err)
	}
	return nil
}

// showLast shows the report that was kept last.
func (p *preflightFlags) showLast(ctx context.Context, db *queue.DB, batch int64) error {
	if batch == 0 {
		return exit.Usagef("--last is for a batch: give its number")
	}
	if _, err := db.Status(ctx, batch); err != nil {
		return err
	}
	kept, err := db.LastPreflight(ctx, batch)
	if err != nil {
		return err
	}
	if kept == nil {
		return fmt.Errorf("no report of batch %d was kept; make one: enotify preflight %d", batch, batch)
	}
	r, err := preflight.Decode(kept.Report)
	if err != nil {
		return err
	}
	if err := p.show(r); err != nil {
		return err
	}
	return p.exit(r)
}

// watch looks again until nothing blocks and everything could be checked.
func (p *preflightFlags) watch(ctx context.Context, in *preflight.Input, r *preflight.Report,
	every time.Duration) (*preflight.Report, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	said := ""
	for r.Waiting() {
		if line := r.Line() + waitingFor(r); line != said {
			p.hint("%s  %s", figures.Clock(time.Now()), line)
			said = line
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		err := p.Refresh(ctx, in)
		p.Progress.End()
		if err != nil {
			return nil, err
		}
		if r, err = preflight.Run(ctx, in); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// waitingFor names the rows that keep a report from being green.
func waitingFor(r *preflight.Report) string {
	text := ""
	for _, f := range r.Findings {
		if f.Severity == preflight.Block || f.Unanswered {
			text += " " + f.ID
		}
	}
	return "; waits for" + text
}

// refused is why a batch is not submitted: the findings go to standard error.
func refused(a *app, r *preflight.Report) error {
	blocking := *r
	blocking.Findings = r.Of(preflight.Block)
	blocking.Sites = nil
	if err := render.Text(a.stderr, &blocking, a.colour(a.stderr), term.Columns(a.stderr, a.getenv)); err != nil {
		return err
	}
	return exit.With(exit.Blocked, fmt.Errorf("batch %d was not submitted: %s blocks it; cure it, or submit it with --force --reason WHY",
		r.Subject.Batch, figures.Some(len(blocking.Findings), "row")))
}

// preflightFlags are the flags of every verb that makes a report.
type preflightFlags struct {
	*app
	gather.Sources
	format  string // text, json or html
	strict  bool
	connect *cure.Connector // of client check
}

func (p *preflightFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&p.format, "output", "o", "text", "text, json or html")
	f.BoolVar(&p.strict, "strict", false, "exit with 3 if there are warnings")
	p.addSources(f)
}

func (p *preflightFlags) addSources(f *pflag.FlagSet) {
	f.StringSliceVar(&p.Egress, "egress", nil,
		"`IP` addresses that receivers see, separated by commas; default: those of its pool at live nodes")
	poolFlag(f, &p.Pool)
	f.StringVar(&p.HELO, "helo", "", "our `NAME` in EHLO; default: what the live nodes use")
	f.StringVar(&p.MailFrom, "mail-from", "",
		"envelope sender `ADDRESS`; default: the client's return path, else the From: address")
	f.StringVar(&p.BounceDomain, "bounce-domain", "",
		"domain `NAME` of the operator's signed return paths; default: what the live nodes use")
	f.StringVar(&p.PublicURL, "public-url", "", "https `URL` of our unsubscribe page; default: what the live nodes use")
	f.StringVar(&p.Smarthost, "smarthost", "",
		"smarthost `HOST:PORT` that gets all mail; default: what the live nodes use")
	allowMXFlag(f, &p.AllowMX)
	dkimDirFlag(f, &p.Keys)
	operatorFlag(f, &p.Operator)
	f.StringSliceVar(&p.Lists, "dnsbl", nil, "DNS block list `ZONES` to ask, such as zen.spamhaus.org")
}

func (p *preflightFlags) check() error {
	if p.format != "" && p.format != "text" && p.format != "table" && p.format != "json" && p.format != "html" {
		return exit.Usagef("-o %s: want text, json or html", p.format)
	}
	if p.Pool != "" { // --egress may come from the environment
		p.Egress = nil
	}
	p.Resolver, p.Progress = p.resolver, p.progress()
	return p.Check()
}

// show prints the report in the form that was asked for.
func (p *preflightFlags) show(r *preflight.Report) error {
	w := bufio.NewWriter(p.stdout)
	var err error
	switch p.format {
	case "json":
		err = render.JSON(w, r)
	case "html":
		err = render.HTML(w, r)
	default:
		err = render.Text(w, r, p.colour(p.stdout), term.Columns(p.stdout, p.getenv))
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

// exit is what the report means for a script.
func (p *preflightFlags) exit(r *preflight.Report) error {
	switch {
	case r.Summary.Readiness == preflight.Blocked:
		return exit.With(exit.Blocked, nil)
	case r.Summary.Readiness == preflight.Doubts && p.strict:
		return exit.With(exit.Warned, nil)
	default:
		return nil
	}
}
