package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/bouncereport"
	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender/bounce"
)

func (a *app) bounceCmd() *cobra.Command {
	return noun("bounce", "Reports, classes and records of refused mail",
		a.bounceReportCmd(), a.bounceClassifyCmd(), a.bounceRulesCmd(), a.bounceIngestCmd(), a.bounceKeyCmd())
}

// bounceRulesFlag is the flag of every verb that classifies replies.
func bounceRulesFlag(f *pflag.FlagSet, file *string) {
	f.StringVar(file, "bounce-rules", "",
		"`FILE` with rules of your own for replies, asked before the built-in ones; see enotify bounce rules")
}

// loadBounceRules reads the file of --bounce-rules.
func loadBounceRules(file string) (bounce.Rules, error) {
	rules, err := bounce.Load(file)
	if err != nil {
		return rules, exit.Usagef("--bounce-rules: %w", err)
	}
	return rules, nil
}

func (a *app) bounceClassifyCmd() *cobra.Command {
	var c classifier
	var file string
	cmd := &cobra.Command{
		Use: "classify", Short: "Classify SMTP replies from standard input", Args: atMost(0),
		Long: `Reads SMTP replies from standard input, one per line, and answers each with one
line, in order: class, action and the rule that decided, separated by tabs, or
with -o json as an object. Lines of one reply may be joined by \n; quotes and
the prefixes of logs and delivery reports are understood.

With --explain, the answer also has the words that decided and where the rule is
from, and says which words kept a reply from counting as an unknown recipient.
A node knows the recipient and the sender of each message: give --recipient and
--ours to see what it would say of a reply that names another address.`,
		Example: "  echo '550 5.1.1 No such user' | enotify bounce classify -o json\n  echo '550 5.1.1 User unknown, try again later' | enotify bounce classify --explain",
		RunE: func(*cobra.Command, []string) (err error) {
			if c.rules, err = loadBounceRules(file); err != nil {
				return err
			}
			c.json = a.output == "json"
			return c.run(a.stdin, a.stdout)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&c.explain, "explain", false, "show the words that decided, and the source of the rule")
	f.StringVar(&c.about.Recipient, "recipient", "", "`ADDRESS` that the message was for")
	f.StringSliceVar(&c.about.Ours, "ours", nil,
		"`NAMES` of ours and the client's: envelope sender, From address, domain, separated by commas")
	f.StringVar(&c.about.Site, "site", "", "`NAME` of the mail host or provider that replied")
	bounceRulesFlag(f, &file)
	return cmd
}

func (a *app) bounceRulesCmd() *cobra.Command {
	return &cobra.Command{
		Use: "rules [FILE]", Short: "Print the rules for replies, or check a file of your own",
		Args: atMost(1),
		Long: `Prints the built-in rules by which replies are classified, in the order in which
they are asked; the head of the text explains how they are written.

With FILE, checks rules of your own and says what each does. They are written
like the built-in ones and asked before them; one with the name of a built-in
rule replaces it, and "off NAME" removes a rule or veto. Each needs an example
that it decides, and none may suppress addresses for a reply that is known to
mean something else. Then: enotify run --bounce-rules FILE`,
		Example: "  enotify bounce rules | less\n  enotify bounce rules /etc/enotify/bounce-rules.txt",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				_, err := io.WriteString(a.stdout, bounce.BuiltIn())
				return err
			}
			rules, err := bounce.Load(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.stdout, "%s: %s, and their examples hold\n", args[0],
				figures.Some(rules.Own(), "rule"))
			return err
		},
	}
}

// A classifier answers replies.
type classifier struct {
	rules   bounce.Rules
	about   bounce.About
	explain bool
	json    bool
}

// maxReplyBytes is how much of a line is kept. A reply is decided by its first
// kilobytes; what follows in the same line is read and dropped.
const maxReplyBytes = 64 << 10

// run answers every line of r to w. Answers are not held back while r has
// nothing more to read, so a program can ask one reply at a time.
func (c *classifier) run(r io.Reader, w io.Writer) error {
	in := bufio.NewReaderSize(r, maxReplyBytes)
	out := bufio.NewWriter(w)
	for {
		line, err := replyLine(in)
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return fmt.Errorf("read replies: %w", err)
		}
		reply := bounce.Parse(line)
		switch {
		case c.explain && c.json:
			err = term.WriteJSONLine(out, c.rules.Explain(reply, c.about))
		case c.explain:
			_, err = io.WriteString(out, explained(c.rules.Explain(reply, c.about)))
		case c.json:
			err = term.WriteJSONLine(out, c.rules.Classify(reply, c.about))
		default:
			v := c.rules.Classify(reply, c.about)
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

// explained is an explanation in a few lines, the first as without --explain.
func explained(x bounce.Explanation) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %-8s %s\n", name, value)
		}
	}
	fmt.Fprintf(&b, "%s\t%s\t%s\n", x.Class, x.Action, x.Rule)
	line("mark", string(x.Mark))
	line("quoted", term.Visible(x.Quoted))
	line("words", quotedWords(x.Words))
	line("codes", x.When)
	line("source", x.Source)
	if x.Doubt != "" {
		line("not", strings.TrimSpace(fmt.Sprintf("no_such_user by %s: %s %s", x.Spared, x.Doubt,
			quotedWords(x.Doubts))))
	}
	return b.String()
}

func quotedWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", w)
	}
	return strings.Join(quoted, " ")
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
		Use: "report", Short: "Report why mail did not arrive, by reason, with what to do", Args: atMost(0),
		Long: `Groups recipients without their message by reason: the receiver is offline,
there were too many connections, the address is gone, we are not authorised;
then the rest. For each reason it shows the commonest replies. Deferred
recipients count too. With --batch, all recipients without their message are
counted, those nobody replied about too, and the totals are those of batch show.
Where readers called mail spam, it shows how many of the accepted messages that
were, for each client and site, in batches of the last 1, 7 and 30 days, or of
the batch. With -o html it is one page that opens from disk.`,
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
			return a.withReader(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				r := bouncereport.New(insight.Scope{Client: client, Batch: batch, Since: time.Now().Add(-window)})
				if err := insight.Of(db).Refusals(ctx, insight.Scope{Client: client, Batch: batch, Since: r.Since},
					r.Add); err != nil {
					return err
				}
				if batch != 0 {
					s, err := db.Status(ctx, batch)
					if err != nil {
						return err
					}
					a.hintPruned(s)
					if !cmd.Flags().Changed("since") {
						r.Count(s)
					}
				}
				complaints, err := insight.Of(db).Complaints(ctx, insight.Scope{Client: client, Batch: batch})
				if err != nil {
					return err
				}
				r.Complained(complaints)
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

// hintPruned says why a report of a pruned batch has no replies.
func (a *app) hintPruned(s queue.Status) {
	if s.PrunedAt != nil {
		a.hint("batch %d was pruned at %s, and its replies with it; enotify batch show %d has its counts", s.ID,
			figures.Clock(*s.PrunedAt), s.ID)
	}
}
