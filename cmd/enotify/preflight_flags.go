package main

import (
	"bufio"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/preflight/gather"
	"enotify/cmd/enotify/preflight/render"
	"enotify/cmd/enotify/term"
)

// preflightFlags are those of every verb that makes a report.
type preflightFlags struct {
	*app
	gather.Sources
	format string // text, json or html
	strict bool
}

func (p *preflightFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&p.format, "output", "o", "text", "text, json or html")
	f.BoolVar(&p.strict, "strict", false, "exit with 3 if there are warnings")
	p.addSources(f)
}

func (p *preflightFlags) addSources(f *pflag.FlagSet) {
	f.StringSliceVar(&p.Egress, "egress", nil, "`IP` addresses that receivers see, separated by commas; default: those of the live nodes")
	f.StringVar(&p.HELO, "helo", "", "our `NAME` in EHLO; default: that of the live nodes")
	f.StringVar(&p.MailFrom, "mail-from", "", "envelope sender `ADDRESS`; default: the client's return path, else the From: address")
	f.StringVar(&p.BounceDomain, "bounce-domain", "", "domain `NAME` of the operator's signed return paths, as in enotify run")
	f.StringVar(&p.PublicURL, "public-url", "", "https `URL` of our unsubscribe page, as in enotify run")
	f.StringVar(&p.Smarthost, "smarthost", "", "smarthost `HOST:PORT` that gets all mail, as in enotify run")
	dkimDirFlag(f, &p.Keys)
	f.StringSliceVar(&p.Lists, "dnsbl", nil, "DNS block list `ZONES` to ask, such as zen.spamhaus.org")
}

func (p *preflightFlags) check() error {
	if p.format != "" && p.format != "text" && p.format != "table" && p.format != "json" && p.format != "html" {
		return exit.Usagef("-o %s: want text, json or html", p.format)
	}
	p.Resolver, p.Progress = p.resolver, term.NewProgress(p.stderr)
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
		err = render.Text(w, r, p.colour(p.stdout))
	}
	if err != nil {
		return err
	}
	return w.Flush()
}

// exit is what the report means for a script.
func (p *preflightFlags) exit(r *preflight.Report) error {
	switch {
	case r.Summary.Verdict == preflight.Blocked:
		return exit.With(exit.Blocked, nil)
	case r.Summary.Verdict == preflight.Doubts && p.strict:
		return exit.With(exit.Warned, nil)
	default:
		return nil
	}
}
