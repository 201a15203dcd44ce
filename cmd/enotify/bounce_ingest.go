package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/keyring"
	"enotify/cmd/enotify/node"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	mail "enotify/sender/bounce/report"
	"enotify/sender/token"
)

func (a *app) bounceIngestCmd() *cobra.Command {
	var dry, strict bool
	cmd := &cobra.Command{
		Use: "ingest FILE|DIR|-", Short: "Record bounces and complaints from a mail, an mbox or a Maildir", Args: one("a file, a folder, or - for standard input"),
		Long: `Reads returned mail, from a file with one mail or an mbox, from a Maildir or a
folder, and records it as run --bounce-listen does: a late bounce changes the
outcome of its recipient, a complaint suppresses the address for the client. The
same report counts once, however often it is read.

Mail with a signed return path names its recipient itself. Other mail is
matched by our Message-ID, or else by the address it names, if that was sent to
in the last 14 days. Such mail can be forged by whoever can write to the mailbox:
ingest only one that you would believe yourself.`,
		Example: `  enotify bounce ingest /var/mail/bounces
  enotify bounce ingest --dry-run -o json ~/Maildir`,
	}
	f := cmd.Flags()
	f.BoolVar(&dry, "dry-run", false, "only print what each mail is; needs no database")
	f.BoolVar(&strict, "strict", false, "exit 3 when a bounce or complaint matched no recipient")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		mails, err := letters(args[0], a.stdin)
		if err != nil {
			return err
		}
		if dry {
			return a.ingest(cmd.Context(), &ingest{}, mails, strict)
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			keys, err := (&keyring.Keyring{DB: db}).Load(ctx)
			if errors.Is(err, keyring.ErrNotAllowed) {
				return fmt.Errorf("%w; bounce ingest takes a member of enotify_sender", keyring.ErrNotAllowed)
			}
			if err != nil {
				return err
			}
			return a.ingest(ctx, &ingest{db: db, keys: keys}, mails, strict)
		})
	}
	return cmd
}

// ingest takes all mails, and prints what they were.
func (a *app) ingest(ctx context.Context, in *ingest, mails iter.Seq[letter], strict bool) error {
	progress := term.NewProgress(a.stderr)
	for l := range mails {
		if err := in.take(ctx, l); err != nil {
			return err
		}
		progress.Say("%s read", figures.Count(in.sum.Read))
	}
	progress.End()
	if err := a.print(in, in.lay); err != nil {
		return err
	}
	if strict && in.sum.Unmatched > 0 {
		return exit.With(exit.Warned, fmt.Errorf("%s matched no recipient of ours", figures.Some(in.sum.Unmatched, "report")))
	}
	return nil
}

// An ingest is one run of bounce ingest.
type ingest struct {
	db   *queue.DB // nil: nothing is recorded
	keys token.Keys

	sum   ingestSum
	mails []ingested
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
	Unmatched int `json:"unmatched"` // bounces and complaints about nobody we know
}

// ingested is what became of one mail.
type ingested struct {
	Mail       string        `json:"mail"`
	Kind       string        `json:"kind"`
	Recipients []ingestedFor `json:"recipients"`
	Matched    string        `json:"matched,omitempty"` // signature, message-id or address
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

// take reads one mail, and records it.
func (in *ingest) take(ctx context.Context, l letter) error {
	if l.err != nil {
		return fmt.Errorf("%w; %s read before it, which stays recorded", l.err, figures.Some(in.sum.Read, "mail"))
	}
	said := mail.Read(l.raw)
	done := ingested{Mail: l.name, Kind: string(said.Kind), Recipients: []ingestedFor{}}
	for _, r := range said.Recipients {
		done.Recipients = append(done.Recipients, ingestedFor{r.Address, r.Was, r.Action, string(r.Verdict.Class), r.Reply.Code, r.Reply.Enhanced, r.Reply.Text, r.Verdict.Rule})
	}
	if in.db != nil {
		if err := in.record(ctx, said, l.raw, &done); err != nil {
			return fmt.Errorf("%s: %w; %s read before it, which stays recorded", l.name, err, figures.Some(in.sum.Read, "mail"))
		}
	}
	in.count(done)
	in.mails = append(in.mails, done)
	return nil
}

func (in *ingest) count(done ingested) {
	s := &in.sum
	s.Read++
	counters := map[string]*int{
		string(mail.Bounce): &s.Bounces, string(mail.Expired): &s.Expired, string(mail.Delay): &s.Delays, string(mail.Complaint): &s.Complaints,
		string(mail.AutoReply): &s.AutoReplies, string(mail.Challenge): &s.Challenges, string(mail.Other): &s.Other, unsubscribeKind: &s.Unsubscribes,
	}
	*counters[done.Kind]++
	speaks := done.Kind == string(mail.Bounce) || done.Kind == string(mail.Expired) || done.Kind == string(mail.Complaint)
	switch {
	case done.Matched != "":
		s.Matched++
	case speaks && in.db != nil:
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

// record finds out whom a mail is about, and has it recorded.
func (in *ingest) record(ctx context.Context, said mail.Report, raw []byte, done *ingested) error {
	about, p, err := in.signed(said)
	switch {
	case err == nil && p == token.Unsubscribe:
		done.Kind, done.Matched, done.Batch, done.Seq = unsubscribeKind, "signature", about.Batch, about.Seq
		_, err := in.db.Unsubscribe(ctx, about.Batch, about.Seq, "by mail")
		return done.unless(err)
	case err == nil:
		done.Matched = "signature"
	case said.Kind != mail.Bounce && said.Kind != mail.Expired && said.Kind != mail.Complaint:
		return nil // means nothing, whomever it is about
	default:
		if about, done.Matched, err = in.unsigned(ctx, said); err != nil || done.Matched == "" {
			return err
		}
	}
	done.Batch, done.Seq = about.Batch, about.Seq
	who, err := in.db.Addressee(ctx, about.Batch, about.Seq)
	if err != nil {
		return done.unless(err)
	}
	report := node.ReportOn(about, who.Address, said, raw)
	report.Signed, report.Via = done.Matched == "signature", queue.ViaIngest
	recorded, err := in.db.RecordReport(ctx, report)
	done.Known, done.Was = recorded.Known, string(recorded.Was)
	return done.unless(err)
}

// unless takes the match back when the recipient is not there any more.
func (done *ingested) unless(err error) error {
	if errors.Is(err, queue.ErrNotFound) {
		done.Matched, done.Batch, done.Seq = "", 0, 0
		return nil
	}
	return err
}

var errUnsigned = errors.New("no signed address")

// signed looks for an address that we signed: that the mail came to, or that it
// returns as the envelope sender of ours.
func (in *ingest) signed(said mail.Report) (token.Subject, token.Purpose, error) {
	for _, address := range append(said.SentTo, said.Original.ReturnPath) {
		p, text, ok := token.Split(address)
		if !ok {
			continue
		}
		if s, err := in.keys.Open(p, text); err == nil {
			return s, p, nil
		}
	}
	return token.Subject{}, "", errUnsigned
}

// ourID is a Message-ID as package sender makes it: batch, number, creation of
// the batch in microseconds to base 36, client.
var ourID = regexp.MustCompile(`^<enotify\.([0-9]{1,18})\.([0-9]{1,9})\.([0-9a-z]{1,12})@([^<>@\s]+)>$`)

// latestWithin is how old a message may be that a report names by nothing but
// the address: hosts give up after a week at most.
const latestWithin = 14 * 24 * time.Hour

// unsigned finds whom a report is about that nobody signed: by our Message-ID
// when it names the address as well, if any, and else by the address alone.
func (in *ingest) unsigned(ctx context.Context, said mail.Report) (about token.Subject, how string, err error) {
	if id := ourID.FindStringSubmatch(said.Original.MessageID); id != nil {
		batch, _ := strconv.ParseInt(id[1], 10, 64) // of digits, few enough
		seq, _ := strconv.ParseInt(id[2], 10, 32)
		created, _ := strconv.ParseInt(id[3], 36, 64)
		address, err := in.db.AboutMessage(ctx, batch, int32(seq), id[4], created)
		switch {
		case err == nil && (len(said.Recipients) == 0 || names(said, address)):
			return token.Subject{Batch: batch, Seq: int32(seq)}, "message-id", nil
		case err != nil && !errors.Is(err, queue.ErrNotFound):
			return about, "", err
		}
	}
	for _, r := range said.Recipients {
		for _, address := range []string{r.Was, r.Address} {
			if address == "" || r.Action != "failed" && r.Action != "expired" && said.Kind != mail.Complaint {
				continue
			}
			batch, seq, err := in.db.LatestTo(ctx, address, latestWithin)
			if err == nil {
				return token.Subject{Batch: batch, Seq: seq}, "address", nil
			}
			if !errors.Is(err, queue.ErrNotFound) {
				return about, "", err
			}
		}
	}
	return about, "", nil
}

// names reports whether a report is about an address.
func names(said mail.Report, address string) bool {
	for _, r := range said.Recipients {
		if strings.EqualFold(r.Address, address) || strings.EqualFold(r.Was, address) {
			return true
		}
	}
	return false
}

func (in *ingest) lay(p *term.Page) {
	if in.db == nil {
		var rows [][]string
		for _, m := range in.mails {
			if len(m.Recipients) == 0 {
				rows = append(rows, []string{m.Mail, m.Kind, "-", "-", "-"})
			}
			for _, r := range m.Recipients {
				rows = append(rows, []string{m.Mail, m.Kind, r.Address, cmp.Or(r.Class, "-"), term.Clip(strings.TrimSpace(fmt.Sprintf("%d %s %s", r.Code, r.Enhanced, r.Reply)), 80)})
			}
		}
		p.Table([]string{"MAIL", "KIND", "RECIPIENT", "CLASS", "REPLY"}, rows...)
		return
	}
	s := in.sum
	p.Table(nil, []string{"read", figures.Count(s.Read)}, []string{"bounces", figures.Count(s.Bounces)}, []string{"expired", figures.Count(s.Expired)}, []string{"delays", figures.Count(s.Delays)},
		[]string{"complaints", figures.Count(s.Complaints)}, []string{"unsubscribed", figures.Count(s.Unsubscribes)}, []string{"auto-replies", figures.Count(s.AutoReplies)},
		[]string{"challenges", figures.Count(s.Challenges)}, []string{"other mail", figures.Count(s.Other)})
	p.Line("")
	p.Table(nil, []string{"matched", figures.Count(s.Matched)}, []string{"already known", figures.Count(s.Known)}, []string{"outcomes changed", figures.Count(s.Changed)}, []string{"unmatched", figures.Count(s.Unmatched)})
}
