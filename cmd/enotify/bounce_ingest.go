package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/keyring"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	mail "enotify/sender/bounce/report"
	"enotify/sender/returns"
)

func (a *app) bounceIngestCmd() *cobra.Command {
	var dry, strict bool
	var file string
	cmd := &cobra.Command{
		Use: "ingest FILE|DIR|-", Short: "Record bounces and complaints from a mail, an mbox or a Maildir",
		Args: one("a file, a folder, or - for standard input"),
		Long: `Reads returned mail, from a file with one mail or an mbox, from a Maildir or a
folder, and records it as run --bounce-listen does: a late bounce changes the
outcome of its recipient, a complaint suppresses the address for the client. The
same report counts once, however often it is read.

Mail with a signed return path names its recipient itself. Other mail has to
return our Message-ID and name the address that this message went to: an address
alone matches nobody, since anyone can write one.`,
		Example: `  enotify bounce ingest /var/mail/bounces
  enotify bounce ingest --dry-run -o json ~/Maildir`,
	}
	f := cmd.Flags()
	f.BoolVar(&dry, "dry-run", false, "only print what each mail is; needs no database")
	f.BoolVar(&strict, "strict", false, "exit 3 when a bounce or complaint matched no recipient")
	bounceRulesFlag(f, &file)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		rules, err := loadBounceRules(file)
		if err != nil {
			return err
		}
		reader := mail.Reader{Rules: rules}
		mails, err := returns.Mailbox(args[0], a.stdin)
		if err != nil {
			return err
		}
		if dry {
			return a.ingest(cmd.Context(), &ingest{reader: reader}, mails, strict)
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			keys := &keyring.Keyring{DB: db}
			_, err := keys.Load(ctx)
			if errors.Is(err, keyring.ErrNotAllowed) {
				return fmt.Errorf("%w; bounce ingest takes a member of enotify_sender", keyring.ErrNotAllowed)
			}
			if err != nil {
				return err
			}
			return a.ingest(ctx, &ingest{desk: &returns.Desk{Queue: db, Open: keys.Open, Reader: reader}}, mails,
				strict)
		})
	}
	return cmd
}

// ingest takes all mails, and prints what they were.
func (a *app) ingest(ctx context.Context, in *ingest, mails iter.Seq[returns.Mail], strict bool) error {
	progress := a.progress()
	for m := range mails {
		if err := in.take(ctx, m); err != nil {
			return err
		}
		progress.Say("%s read", figures.Count(in.sum.Read))
	}
	progress.End()
	if err := a.print(in, in.lay); err != nil {
		return err
	}
	if strict && in.sum.Unmatched > 0 {
		return exit.With(exit.Warned, fmt.Errorf("%s matched no recipient of ours",
			figures.Some(in.sum.Unmatched, "report")))
	}
	return nil
}

// An ingest is one run of bounce ingest.
type ingest struct {
	desk   *returns.Desk // nil: nothing is recorded
	reader mail.Reader   // without a desk
	sum    ingestSum
	mails  []ingested
}

// ingestSum counts mails; those below Read down to Other add up to it.
type ingestSum struct {
	Read         int `json:"read"`
	Bounces      int `json:"bounces"`
	Expired      int `json:"expired"`
	Delays       int `json:"delays"`
	Complaints   int `json:"complaints"`
	AutoReplies  int `json:"autoreplies"`
	Challenges   int `json:"challenges"`
	Unsubscribes int `json:"unsubscribes"`
	Other        int `json:"other"`

	Matched   int `json:"matched"`   // to a recipient of ours
	Known     int `json:"known"`     // of these, recorded before
	Changed   int `json:"changed"`   // of these, turned an outcome
	Unmatched int `json:"unmatched"` // bounces and complaints whose recipient was not found
}

// ingested is the result of recording one report.
type ingested struct {
	Mail       string        `json:"mail"`
	Kind       string        `json:"kind"`
	Recipients []ingestedFor `json:"recipients"`
	Matched    string        `json:"matched,omitempty"` // signature, message-id or headers
	Batch      int64         `json:"batch,omitempty"`
	Seq        int32         `json:"seq,omitempty"`
	Known      bool          `json:"known,omitempty"`
	Was        string        `json:"was,omitempty"` // the state that it changed
}

type ingestedFor struct {
	Address  string `json:"address"`
	Was      string `json:"original,omitempty"`
	Action   string `json:"action,omitempty"`
	Class    string `json:"class,omitempty"`
	Code     int    `json:"code,omitempty"`
	Enhanced string `json:"enhanced,omitempty"`
	Reply    string `json:"reply,omitempty"`
	Rule     string `json:"rule,omitempty"`
}

// MarshalJSON makes one document of the sums and the mails.
func (in *ingest) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Summary ingestSum  `json:"summary"`
		Mails   []ingested `json:"mails"`
	}{in.sum, in.mails})
}

// take reads one mail, and has it recorded.
func (in *ingest) take(ctx context.Context, m returns.Mail) error {
	if m.Err != nil {
		return fmt.Errorf("%w; %s read before it, which stays recorded", m.Err, figures.Some(in.sum.Read, "mail"))
	}
	t := returns.Taken{}
	unsubscribed := false
	if in.desk == nil {
		t.Said = in.reader.Read(m.Raw)
	} else {
		var err error
		t, err = in.desk.Take(ctx, m)
		unsubscribed = t.Unsubscribed()
		switch {
		case errors.Is(err, queue.ErrNotFound): // the recipient is not there any more
			t.About = returns.About{}
		case err != nil:
			return fmt.Errorf("%s: %w; %s read before it, which stays recorded", m.Name, err,
				figures.Some(in.sum.Read, "mail"))
		}
	}
	done := ingested{
		Mail: m.Name, Kind: string(t.Said.Kind), Recipients: []ingestedFor{}, Matched: t.About.How,
		Batch: t.About.Subject.Batch, Seq: t.About.Subject.Seq,
		Known: t.Recorded.Known, Was: string(t.Recorded.Was),
	}
	if unsubscribed {
		done.Kind = unsubscribeKind
	}
	for _, r := range t.Said.Recipients {
		done.Recipients = append(done.Recipients,
			ingestedFor{r.Address, r.Was, r.Action, string(r.Verdict.Class), r.Reply.Code, r.Reply.Enhanced,
				r.Reply.Text, r.Verdict.Rule})
	}
	in.count(done)
	in.mails = append(in.mails, done)
	return nil
}

func (in *ingest) count(done ingested) {
	s := &in.sum
	s.Read++
	counters := map[string]*int{
		string(mail.Bounce): &s.Bounces, string(mail.Expired): &s.Expired, string(mail.Delay): &s.Delays,
		string(mail.Complaint): &s.Complaints,
		string(mail.AutoReply): &s.AutoReplies, string(mail.Challenge): &s.Challenges, string(mail.Other): &s.Other,
		unsubscribeKind: &s.Unsubscribes,
	}
	*counters[done.Kind]++
	speaks := done.Kind == string(mail.Bounce) || done.Kind == string(mail.Expired) ||
		done.Kind == string(mail.Complaint)
	switch {
	case done.Matched != "":
		s.Matched++
	case speaks && in.desk != nil:
		s.Unmatched++
	}
	if done.Known {
		s.Known++
	}
	if done.Was != "" {
		s.Changed++
	}
}

const unsubscribeKind = "unsubscribe"

func (in *ingest) lay(p *term.Page) {
	if in.desk == nil {
		var rows [][]string
		for _, m := range in.mails {
			if len(m.Recipients) == 0 {
				rows = append(rows, []string{m.Mail, m.Kind, "-", "-", "-"})
			}
			for _, r := range m.Recipients {
				rows = append(rows, []string{m.Mail, m.Kind, r.Address, cmp.Or(r.Class, "-"),
					term.Clip(strings.TrimSpace(fmt.Sprintf("%d %s %s", r.Code, r.Enhanced, r.Reply)), 80)})
			}
		}
		p.Table([]string{"MAIL", "KIND", "RECIPIENT", "CLASS", "REPLY"}, rows...)
		return
	}
	s := in.sum
	p.Table(nil, []string{"read", figures.Count(s.Read)}, []string{"bounces", figures.Count(s.Bounces)},
		[]string{"expired", figures.Count(s.Expired)}, []string{"delays", figures.Count(s.Delays)},
		[]string{"complaints", figures.Count(s.Complaints)}, []string{"unsubscribed", figures.Count(s.Unsubscribes)},
		[]string{"auto-replies", figures.Count(s.AutoReplies)},
		[]string{"challenges", figures.Count(s.Challenges)}, []string{"other mail", figures.Count(s.Other)})
	p.Line("")
	p.Table(nil, []string{"matched", figures.Count(s.Matched)}, []string{"already known", figures.Count(s.Known)},
		[]string{"outcomes changed", figures.Count(s.Changed)}, []string{"unmatched", figures.Count(s.Unmatched)})
}
