package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/insight"
)

// causes say what put an address on the list, and when it may be taken off.
var causes = map[string]struct{ said, undo string }{
	"no_such_user": {"a receiver said that there is no such address", "if you know that the mailbox exists by now"},
	"mailbox_full": {"the mailbox stayed full", "if its owner has made room"},
	"complaint":    {"the reader called our mail spam", "if the reader asks for it, and nobody else"},
	"unsubscribe":  {"the reader unsubscribed", "if the reader asks for it, and nobody else"},
	"operator":     {"an operator wrote it down", "when what was written is over"},
}

// An explanation is what suppression explain prints.
type explanation struct {
	insight.Explanation
	Undo  []string  `json:"undo"`  // commands, one for each suppression in force
	Since time.Time `json:"since"` // of the messages
	Site  string    `json:"site"`  // who serves the domain; "" when no batch to it has begun of late
	// NoMail is why the domain takes none; "" when it does, or nobody has looked.
	NoMail string `json:"no_mail"`
}

func (a *app) suppressionExplainCmd() *cobra.Command {
	var since string
	var limit int
	cmd := &cobra.Command{
		Use: "explain ADDRESS", Short: "Explain why an address gets no mail, and how to undo it",
		Args: one("an address"),
		Long: `Shows everything that is known about an address: what suppresses it, for which
clients, since when and until when, who said so, and the command that undoes it;
how often its mailbox was full; the last messages to it, with every reply and
every returned mail. For pruned batches only the suppression is known.`,
		Example: "  enotify suppression explain ann@example.org",
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return exit.Usagef("--limit %d: want 1 or more", limit)
			}
			window, err := figures.ParseSpan(since)
			if err != nil {
				return exit.Usagef("--since %s: want a duration such as 90d or 12h", since)
			}
			return a.withReader(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
				e, err := explain(ctx, db, args[0], time.Now().Add(-window), limit)
				if err != nil {
					return err
				}
				return a.print(e, e.lay)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&since, "since", "90d", "messages of batches created within the last `DURATION`")
	f.IntVar(&limit, "limit", 10, "at most `N` messages, newest first")
	return cmd
}

func explain(ctx context.Context, db *queue.DB, address string, since time.Time, limit int) (*explanation, error) {
	e := &explanation{Since: since, Undo: []string{}}
	var err error
	if e.Explanation, err = insight.Of(db).Explain(ctx, address, since, limit); err != nil {
		return nil, err
	}
	for _, s := range e.inForce() {
		e.Undo = append(e.Undo, undo(s))
	}
	_, domain, _ := strings.Cut(e.Address[strings.LastIndexByte(e.Address, '@'):], "@")
	facts, err := insight.Of(db).DomainFacts(ctx, []string{domain})
	if err != nil {
		return nil, err
	}
	for _, f := range facts {
		e.Site = f.Site
		if f.NoMail != nil {
			e.NoMail = f.NoMail.Reply.String()
		}
	}
	return e, nil
}

// undo is the command that takes a suppression off.
func undo(s insight.SuppressedBy) string {
	command := "enotify suppression rm " + shellWord(s.Address)
	if s.Client != "" {
		command += " --client " + s.Client
	}
	return command
}

// shellWord quotes what a shell would not take for one word.
func shellWord(text string) string {
	if strings.IndexFunc(text, func(r rune) bool {
		return r > '~' || !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("@._+-=/%", r))
	}) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func (e *explanation) inForce() []insight.SuppressedBy {
	return slices.DeleteFunc(slices.Clone(e.Suppressions), func(s insight.SuppressedBy) bool { return s.Ended })
}

func (e *explanation) lay(p *term.Page) {
	inForce := e.inForce()
	p.Line("%s", p.Paint(e.verdict(inForce), term.Bold))
	for i, s := range inForce {
		p.Line("")
		e.laySuppression(p, s, e.Undo[i])
	}
	for _, s := range e.Suppressions {
		if s.Ended {
			p.Line("")
			p.Line("it was suppressed for %s (%s) from %s to %s; that has ended by itself", whom(s), s.Cause,
				figures.Clock(s.AddedAt), figures.Clock(*s.Until))
		}
	}
	if len(inForce) == 0 || inForce[0].Client != "" {
		e.layRoute(p)
	}
	full := queue.MailboxFull.Treatment().Suppresses
	if f := e.Full; f != nil {
		p.Line("")
		p.Say("its mailbox was full %s, from %s to %s, and took nothing since; after %d over %s or more it is left alone for %s",
			figures.Some(f.Replies, "time"), figures.Clock(f.FirstAt), p.Ago(f.LastAt), f.Limit,
			figures.Days(full.Over), figures.Days(full.For))
	}
	if u := e.Unknown; u != nil {
		p.Line("")
		p.Say("it was called unknown %s, from %s to %s, by a site that also says so of other addresses; after %d over %s or more it is suppressed",
			figures.Some(u.Replies, "time"), figures.Clock(u.FirstAt), p.Ago(u.LastAt), u.Limit,
			figures.Days(queue.OnceRepeated.Over))
	}
	e.layMessages(p)
}

// verdict is the first line.
func (e *explanation) verdict(inForce []insight.SuppressedBy) string {
	switch {
	case len(inForce) == 0:
		return e.Address + " is not suppressed: the next message to it is sent"
	case inForce[0].Client == "":
		return e.Address + " is suppressed: no client sends to it"
	}
	var clients []string
	for _, s := range inForce {
		clients = append(clients, s.Client)
	}
	return e.Address + " is suppressed for " + strings.Join(clients, ", ") + " alone: other clients send to it"
}

func whom(s insight.SuppressedBy) string { return cmp.Or(s.Client, "all clients") }

func (e *explanation) laySuppression(p *term.Page, s insight.SuppressedBy, command string) {
	cause := causes[s.Cause]
	rows := [][]string{{"for", whom(s)}, {"why", s.Cause + ": " + cause.said},
		{"since", p.Ago(s.AddedAt) + ", written by " + s.AddedBy}}
	if s.Note != "" {
		rows = append(rows, []string{"reply", term.Clip(s.Note, 300)})
	}
	if s.BatchID != nil {
		from := fmt.Sprintf("batch %d", *s.BatchID)
		if s.Seq != nil {
			from += fmt.Sprintf(", recipient %d", *s.Seq)
		}
		if s.Kept {
			from += fmt.Sprintf("; enotify batch show %d", *s.BatchID)
		} else {
			from += ", which was pruned since: the reply above is what is left"
		}
		rows = append(rows, []string{"from", from})
	}
	until := "for good"
	if s.Until != nil {
		until = p.Ago(*s.Until) + "; it ends by itself then"
	}
	rows = append(rows, []string{"until", until}, []string{"undo", command},
		[]string{"", "an operator (enotify_admin), " + cause.undo + "; from the next batch on"})
	p.Table(nil, rows...)
}

// layRoute says where a message would go.
func (e *explanation) layRoute(p *term.Page) {
	p.Line("")
	switch {
	case e.NoMail != "":
		p.Line("but its domain takes no mail: %s", term.Clip(e.NoMail, 200))
	case e.Site != "":
		p.Say("it goes to the mail hosts of %s; enotify destination show %s says how fast, and whether they take ours",
			e.Site, e.Site)
	default:
		p.Line("its mail hosts are looked up when a batch to it begins")
	}
}

func (e *explanation) layMessages(p *term.Page) {
	if len(e.Messages) == 0 {
		p.Line("")
		p.Say("no message to it in batches created since %s that are kept; --since 365d looks further back",
			figures.Clock(e.Since))
		return
	}
	p.Heading("Messages to it, the latest first")
	var rows [][]string
	for _, m := range e.Messages {
		at, what := "", m.State
		switch {
		case m.At != nil:
			at = figures.Clock(*m.At)
		case m.NextTryAt != nil && m.State == "deferred":
			what += ", next try " + figures.Clock(*m.NextTryAt)
		}
		rows = append(rows, []string{fmt.Sprint(m.BatchID), m.Client, at, what, m.Class, replyText(m.Code, m.Reply)})
		for _, r := range m.Reports {
			what := "report: " + r.Kind
			if r.Was != "" {
				what += ", was " + r.Was
			}
			if !r.Signed {
				what += ", not signed"
			}
			rows = append(rows, []string{"", "", figures.Clock(r.At), what, r.Class, replyText(r.Code, r.Reply)})
		}
		for _, t := range m.Attempts {
			what := fmt.Sprintf("try %d", t.N)
			if t.Host != "" {
				what += " at " + t.Host
			}
			rows = append(rows, []string{"", "", figures.Clock(t.At), what, t.Class, replyText(t.Code, t.Reply)})
		}
		if more := m.Tries - len(m.Attempts); more > 0 {
			rows = append(rows, []string{"", "", "", fmt.Sprintf("and %s before", figures.Count(more)), "", ""})
		}
	}
	p.Table([]string{"BATCH", "CLIENT", "AT", "WHAT", "CLASS", "REPLY"}, rows...)
	if e.More {
		p.Line("there are more; --limit %d shows them", 10*len(e.Messages))
	}
}

// replyText is a reply on one line.
func replyText(code int, text string) string {
	if code != 0 {
		text = fmt.Sprint(code, " ", text)
	}
	return term.Clip(text, 140)
}
