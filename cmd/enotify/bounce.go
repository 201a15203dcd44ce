package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/bouncereport"
	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender/bounce"
)

func (a *app) bounceCmd() *cobra.Command {
	return noun("bounce", "Reports, classes and records of refused mail", a.bounceReportCmd(), a.bounceClassifyCmd(), a.bounceIngestCmd(), a.bounceKeyCmd())
}

func (a *app) bounceClassifyCmd() *cobra.Command {
	return &cobra.Command{
		Use: "classify", Short: "Classify SMTP replies from standard input", Args: cobra.NoArgs,
		Long: `Reads SMTP replies from standard input, one per line, and answers each with one
line, in order: class, action and the rule that decided, separated by tabs, or
with -o json as an object. Lines of one reply may be joined by \n; quotes and
the prefixes of logs and delivery reports are understood.`,
		Example: "  echo '550 5.1.1 No such user' | enotify bounce classify -o json",
		RunE: func(*cobra.Command, []string) error {
			return classifyReplies(a.stdin, a.stdout, a.output == "json")
		},
	}
}

// maxReplyBytes is how much of a line is kept. A reply is decided by its first
// kilobytes; what follows in the same line is read and dropped.
const maxReplyBytes = 64 << 10

// classifyReplies answers every line of r by one line to w. Answers are not
// held back while r has nothing more to read, so it can be talked to.
func classifyReplies(r io.Reader, w io.Writer, asJSON bool) error {
	in := bufio.NewReaderSize(r, maxReplyBytes)
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for {
		line, err := replyLine(in)
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return fmt.Errorf("read replies: %w", err)
		}
		v := bounce.Classify(bounce.Parse(line), "")
		if asJSON {
			err = enc.Encode(v)
		} else {
			_, err = fmt.Fprintf(out, "%s\t%s\t%s\n", v.Class, v.Action, v.Rule)
		}
		if err == nil && in.Buffered() == 0 {
			err = out.Flush()
		}
		if err != nil {
			return fmt.Errorf("write answers: %w", err)
		}
	}
}

// replyLine reads one line of any length and returns what fits the buffer of
// in. The last line may lack its newline; io.EOF means there is no more.
func replyLine(in *bufio.Reader) (string, error) {
	part, err := in.ReadSlice('\n')
	line := string(part)
	for errors.Is(err, bufio.ErrBufferFull) {
		part, err = in.ReadSlice('\n')
	}
	if err == io.EOF && (line != "" || len(part) > 0) {
		err = nil
	}
	return line, err
}

func (a *app) bounceReportCmd() *cobra.Command {
	var client, since, format string
	var batch int64
	var shown int
	cmd := &cobra.Command{
		Use: "report", Short: "Report why mail did not arrive, by reason, with what to do", Args: cobra.NoArgs,
		Long: `Groups recipients without their message by reason: the receiver is offline, there
were too many connections, the address is gone, we are not authorised; then the
rest. For each reason it shows the commonest replies. Deferred recipients count
too. With -o html it is one page that opens from disk.`,
		Example: "  enotify bounce report --client town.example --since 7d\n  enotify bounce report --batch 42 -o html > 42.html",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "table" && format != "json" && format != "html" {
				return exit.Usagef("-o %s: want table, json or html", format)
			}
			if batch < 0 || shown < 1 {
				return exit.Usagef("--batch and --replies are positive numbers")
			}
			window, err := figures.ParseSpan(since)
			if err != nil {
				return exit.Usagef("--since %s: want a duration such as 7d or 12h", since)
			}
			if batch != 0 && !cmd.Flags().Changed("since") {
				window = 100 * 365 * 24 * time.Hour // all of it
			}
			return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				r := bouncereport.New(insight.Scope{Client: client, Batch: batch, Since: time.Now().Add(-window)})
				if err := insight.Of(db).Refusals(ctx, insight.Scope{Client: client, Batch: batch, Since: r.Since}, r.Add); err != nil {
					return err
				}
				r.Finish(shown)
				switch {
				case format == "html":
					return r.HTML(a.stdout)
				case format == "json":
					a.output = "json"
				}
				return a.print(r, r.Lay)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&client, "client", "", "only recipients of the client `DOMAIN`")
	f.Int64Var(&batch, "batch", 0, "of one batch, by `ID`")
	f.StringVar(&since, "since", "7d", "only replies of the last `DURATION`; with --batch: all")
	f.IntVar(&shown, "replies", 5, "show at most `N` replies and domains for each reason")
	f.StringVarP(&format, "output", "o", "table", "table, json or html")
	return cmd
}
