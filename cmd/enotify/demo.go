package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/demo"
)

func (a *app) demoCmd() *cobra.Command {
	var c demo.Config
	cmd := &cobra.Command{
		Use: "demo", Short: "Show everything at work on this machine, with nothing to prepare", Args: atMost(0),
		Long: `Starts a private PostgreSQL, a made-up DNS and made-up mail servers on loopback,
enqueues a few batches by SQL as an application would, and sends them while you
watch: to a receiver that takes everything, one that answers 421 past three
connections, one whose users are gone, one that greylists, one that is offline;
for a client whose SPF record lets us send, and for one whose record does not.
It takes about 20 seconds, ends by itself, and leaves the messages received as
.eml files. Ctrl-C ends it early. A database of yours is not touched.

With --recipients and --text or --html it sends your own input there. Domains
that the demo does not know are served by the receiver that takes everything.`,
		Example: `  enotify demo
  enotify demo --recipients people.csv --text letter.txt --html letter.html --subject 'Hello {{.name}}'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Screen, c.Version, c.Log = a.newScreen(), version, slog.New(slog.DiscardHandler)
			if a.verbose {
				c.Log = a.logger()
			}
			c.Enotify = func(ctx context.Context, getenv func(string) string, args []string) error {
				return run(ctx, args, getenv, strings.NewReader(""), io.Discard, io.Discard)
			}
			return demo.Run(cmd.Context(), c)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Out, "out", "", "`DIR` for the received messages; default: a new temporary one")
	f.StringVar(&c.Own.Recipients, "recipients", "",
		"CSV `FILE` with recipients: a header line, a column address, other columns are merge data")
	f.StringVar(&c.Own.Text, "text", "", "`FILE` with the text body; {{.name}} stands for the column name")
	f.StringVar(&c.Own.HTML, "html", "", "`FILE` with the HTML body")
	f.StringVar(&c.Own.Subject, "subject", "A message from the demo", "subject of your own message")
	f.StringVar(&c.Own.From, "from", demo.From, "From: `ADDRESS` of your own message")
	f.DurationVar(&c.RetryFirst, "first-retry", 4*time.Second,
		"wait before the first retry; each further one waits twice as long")
	f.StringVar(&c.Console, "console", "",
		"serve the console on the demo at `ADDR`, until Ctrl-C; without ADDR at a free port of 127.0.0.1")
	f.Lookup("console").NoOptDefVal = "127.0.0.1:0"
	f.Float64Var(&c.Size, "size", 1, "share of the usual number of recipients")
	_ = f.MarkHidden("size") // fails only for a flag that does not exist
	return cmd
}
