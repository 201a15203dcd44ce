package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/sender/bounce"
)

// The segments of a bounce report, in the order in which they are to be looked
// at: the four that each want their own answer, then the rest.
var segments = []struct {
	class         queue.Class
	title, advice string
}{
	{queue.Offline, "The receiver is offline", "Nobody here can help that. They are tried again until the batch expires."},
	{queue.Throttled, "Too many connections, too fast", "Slowed down by itself, and tried again. Where it stays so: enotify destination set DOMAIN --rate 60/min --connections 2."},
	{queue.NoSuchUser, "The address is gone", "Suppressed for all clients already. Take them off the client's list: enotify suppression export."},
	{queue.AuthRejected, "Not authorised", "The client's DNS does not let us send: enotify spf check DOMAIN, enotify client zone DOMAIN. After the cure: enotify batch requeue ID --class auth_rejected."},
	{queue.MailboxFull, "The mailbox is full", fullAdvice},
	{queue.SpamBlock, "Taken for spam", "An address of ours is on a block list or has a poor name. Read the reply, ask to be taken off, and see how many complain: enotify destination list."},
	{queue.Policy, "Refused by a rule of theirs", "Final for the message. Read the reply; ask their postmaster where it concerns many."},
	{queue.Content, "Refused for what it holds", "Final for the message. Look at size, attachments and links: enotify preflight ID."},
	{queue.Other, "Other", "No rule knows these replies. Read them; 4xx are tried again, 5xx are final."},
}

// fullAdvice names the figures by which full mailboxes are left alone.
var fullAdvice = func() string {
	s := queue.MailboxFull.Treatment().Suppresses
	return fmt.Sprintf("Tried again; after %d such replies over %s or more the address is left alone for %s. Nothing to do.", s.Replies, days(s.Over), days(s.For))
}()

func days(d time.Duration) string { return figures.Some(int(d/(24*time.Hour)), "day") }

const mainSegments = 4

// A bounceReport is why mail has not arrived.
type bounceReport struct {
	Schema     int             `json:"schema"` // 1
	Client     string          `json:"client"` // "" is all
	Batch      int64           `json:"batch"`  // 0 is all
	Since      time.Time       `json:"since"`
	At         time.Time       `json:"at"`
	Recipients int             `json:"recipients"`
	Segments   []bounceSegment `json:"segments"`
}

type bounceSegment struct {
	Class      queue.Class   `json:"class"`
	Title      string        `json:"title"`
	Advice     string        `json:"advice"`
	Recipients int           `json:"recipients"`
	Waiting    int           `json:"waiting"` // of them: deferred, not given up
	Domains    []countedText `json:"domains"` // those with the most
	Replies    []countedText `json:"replies"` // the commonest, without what differs from one to the next

	domains, replies map[string]int
}

type countedText struct {
	Text string `json:"text"`
	N    int    `json:"recipients"`
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
				r := newBounceReport(insight.Scope{Client: client, Batch: batch, Since: time.Now().Add(-window)})
				if err := insight.Of(db).Refusals(ctx, insight.Scope{Client: client, Batch: batch, Since: r.Since}, r.add); err != nil {
					return err
				}
				r.finish(shown)
				switch {
				case format == "html":
					return r.html(a.stdout)
				case format == "json":
					a.output = "json"
				}
				return a.print(r, r.lay)
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

func newBounceReport(in insight.Scope) *bounceReport {
	r := &bounceReport{Schema: 1, Client: in.Client, Batch: in.Batch, Since: in.Since, At: time.Now()}
	for _, s := range segments {
		r.Segments = append(r.Segments, bounceSegment{Class: s.class, Title: s.title, Advice: s.advice, domains: map[string]int{}, replies: map[string]int{}})
	}
	return r
}

// maxAlike bounds what is kept of replies that turn out to be all different.
const maxAlike = 20000

func (r *bounceReport) add(said insight.Said) {
	at := slices.IndexFunc(r.Segments, func(s bounceSegment) bool { return s.Class == said.Class })
	if at < 0 {
		at = len(r.Segments) - 1
	}
	s := &r.Segments[at]
	r.Recipients++
	s.Recipients++
	if said.Deferred {
		s.Waiting++
	}
	if said.Domain != "" {
		s.domains[said.Domain]++
	}
	text := strings.TrimSpace(said.Enhanced + " " + bounce.Alike(said.Text))
	if said.Code != 0 {
		text = fmt.Sprint(said.Code, " ", text)
	}
	text = term.Clip(text, 300)
	if _, known := s.replies[text]; !known && len(s.replies) >= maxAlike {
		text = "others, all different"
	}
	s.replies[text]++
}

func (r *bounceReport) finish(shown int) {
	for i := range r.Segments {
		s := &r.Segments[i]
		s.Domains, s.Replies = most(s.domains, shown), most(s.replies, shown)
	}
}

// most are the n largest.
func most(counts map[string]int, n int) []countedText {
	all := make([]countedText, 0, len(counts))
	for _, text := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, countedText{text, counts[text]})
	}
	slices.SortStableFunc(all, func(a, b countedText) int { return cmp.Compare(b.N, a.N) })
	return all[:min(n, len(all))]
}

// scope says in words what the report is about.
func (r *bounceReport) scope() string {
	var of []string
	if r.Client != "" {
		of = append(of, r.Client)
	}
	if r.Batch != 0 {
		of = append(of, fmt.Sprint("batch ", r.Batch))
	}
	if len(of) == 0 {
		of = []string{"all clients"}
	}
	text := strings.Join(of, ", ")
	if time.Since(r.Since) < 50*365*24*time.Hour {
		text += ", since " + figures.Clock(r.Since)
	}
	return text
}

func (r *bounceReport) lay(p *term.Page) {
	p.Line("Not delivered: %s (%s)", figures.Some(r.Recipients, "recipient"), r.scope())
	var rows [][]string
	for i, s := range r.Segments {
		if i >= mainSegments && s.Recipients == 0 {
			continue
		}
		rows = append(rows, []string{s.Title, figures.Count(s.Recipients), portion(s.Recipients, r.Recipients), figures.Count(s.Waiting)})
	}
	p.Line("")
	p.Table([]string{"WHY", "RECIPIENTS", "SHARE", "TRIED AGAIN"}, rows...)
	for _, s := range r.Segments {
		if s.Recipients == 0 {
			continue
		}
		p.Heading("%s: %s", s.Title, figures.Some(s.Recipients, "recipient"))
		p.Line("%s", s.Advice)
		var rows [][]string
		for _, reply := range s.Replies {
			rows = append(rows, []string{figures.Count(reply.N), term.Clip(cmp.Or(reply.Text, "no reply"), 140)})
		}
		p.Table([]string{"RECIPIENTS", "REPLY"}, rows...)
		var domains []string
		for _, d := range s.Domains {
			domains = append(domains, fmt.Sprintf("%s (%s)", d.Text, figures.Count(d.N)))
		}
		if len(domains) > 0 {
			p.Line("most at: %s", strings.Join(domains, ", "))
		}
	}
}

func portion(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f%%", 100*float64(n)/float64(of))
}
