package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/node"
	"enotify/cmd/enotify/settings"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/sender"
	"enotify/sender/throttle"
	"enotify/sender/token"
	"enotify/spfguard/dns"
)

// A trial is the result of sending one copy of a batch to a test address.
type trial struct {
	Batch int64  `json:"batch"`
	To    string `json:"to"`
	As    string `json:"as"` // the recipient whose data filled it
	State string `json:"state"`
	Host  string `json:"host"`
	Reply string `json:"reply"`
}

func (a *app) batchTestCmd() *cobra.Command {
	var to, as, smarthost, helo, login, tls string
	var egress, allowMX []string
	port := 25
	var own messageFlags
	cmd := &cobra.Command{
		Use: "test ID", Short: "Send one marked copy of a batch's message to an address of yours",
		Args: one("a number"),
		Long: `Writes the message of a batch as one of its recipients would get it, with [Test]
before the subject, and sends it to --to. The copy is not counted, and changes
nothing of the batch; its unsubscribe link leads nowhere. It is sent from this
host, with the settings of a node: the flags have the same environment twins.

Exit codes: 0 the copy was accepted; 1 it was not; 2 the client is blocked.`,
		Example: `  enotify batch test 42 --to me@town.example
  enotify batch test 42 --to me@town.example --as citizen@mail.example`,
	}
	f := cmd.Flags()
	f.StringVar(&to, "to", "", "`ADDRESS` that gets the copy")
	f.StringVar(&as, "as", "", "recipient of the batch, by `ADDRESS` or number, whose data fills the message; default: the first one")
	f.StringSliceVar(&egress, "egress", nil,
		"`IP` addresses to send from, separated by commas, those that are local; default: the system chooses")
	f.StringVar(&helo, "helo", "", "our `NAME` in EHLO; default: this host's name")
	f.IntVar(&port, "smtp-port", 25, "port of the receivers")
	allowMXFlag(f, &allowMX)
	f.StringVar(&smarthost, "smarthost", "", "deliver to `HOST:PORT`")
	f.StringVar(&login, "smarthost-user", "",
		"user `NAME` at the smarthost, with the password in ENOTIFY_SMARTHOST_PASSWORD")
	f.StringVar(&tls, "tls", "opportunistic", "opportunistic, required or verified, as for enotify run")
	own.add(f)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := batchID(args[0])
		if err != nil {
			return err
		}
		if to == "" {
			return exit.Usagef("--to is missing: the address that gets the copy")
		}
		mail, err := own.sender()
		if err != nil {
			return err
		}
		from, err := settings.Addresses("--egress", egress)
		if err != nil {
			return err
		}
		if mail.AllowMX, err = settings.Networks("--allow-mx", allowMX); err != nil {
			return err
		}
		mail.Bind = node.Bindable(from) // as a node does: behind NAT the others are not local
		if mail.TLS, err = sender.ParseTLSPolicy(tls); err != nil {
			return exit.Usagef("--tls: %w", err)
		}
		if err := settings.HostPort("--smarthost", smarthost); err != nil {
			return err
		}
		mail.Resolver, mail.Throttle = &dns.Resolver{Server: a.resolver}, &throttle.Throttle{}
		mail.HELO, mail.Port, mail.Smarthost = helo, port, smarthost
		mail.SmarthostLogin = sender.Login{User: login, Password: a.getenv("ENOTIFY_SMARTHOST_PASSWORD")}
		defer mail.Close()
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			m, who, err := trialOf(ctx, db, id, to, as)
			if err != nil {
				return err
			}
			o := mail.Deliver(ctx, m)
			t := trial{Batch: id, To: m.Address, As: who.Address, State: string(o.State), Host: o.Host,
				Reply: o.Reply.String()}
			if err := a.print(t, func(p *term.Page) {
				p.Line("%s as %s got it: %s %s %s", t.To, t.As, t.State, t.Host, term.Clip(t.Reply, 200))
			}); err != nil {
				return err
			}
			if o.State != queue.Delivered {
				return fmt.Errorf("the copy of batch %d was not accepted for %s", id, t.To)
			}
			return nil
		})
	}
	return cmd
}

// messageFlags are the settings of a node that are in the text of a message.
type messageFlags struct{ dkimDir, operator, bounceDomain, publicURL, feedback string }

func (w *messageFlags) add(f *pflag.FlagSet) {
	f.StringVar(&w.dkimDir, "dkim-dir", "", "`DIR` with the DKIM keys, as in enotify run")
	operatorFlag(f, &w.operator)
	f.StringVar(&w.bounceDomain, "bounce-domain", "",
		"domain `NAME` of the operator's signed return paths, as in enotify run")
	f.StringVar(&w.publicURL, "public-url", "", "https `URL` of our unsubscribe page, as in enotify run")
	f.StringVar(&w.feedback, "feedback-id", "enotify", "`NAME` of the sender in Feedback-ID, as in enotify run")
}

// sender writes messages as a node with these settings does, except for the keys that sign
// its addresses: its signatures are not valid.
func (w *messageFlags) sender() (mail *sender.Sender, err error) {
	mail = &sender.Sender{Keys: token.Keys{{ID: "0", Secret: []byte(rand.Text() + rand.Text())}},
		FeedbackSender: w.feedback}
	if mail.BounceDomain, err = settings.Domain("--bounce-domain", w.bounceDomain); err != nil {
		return nil, err
	}
	if mail.PublicURL, err = settings.PublicURL(w.publicURL); err != nil {
		return nil, err
	}
	if err := settings.FeedbackID("--feedback-id", w.feedback); err != nil {
		return nil, err
	}
	mail.DKIM.Path = w.dkimDir
	if mail.Operator, err = mail.DKIM.Named("--dkim-operator", w.operator); err != nil {
		return nil, exit.Usagef("%w", err)
	}
	return mail, nil
}

// messageOf is the message of a batch for one of its recipients, as a node
// sends it.
func messageOf(ctx context.Context, db *queue.DB, mail *sender.Sender, id int64, who string) ([]byte, error) {
	b, err := db.Content(ctx, id)
	if err != nil {
		return nil, err
	}
	to, err := db.Recipient(ctx, id, who)
	if err != nil {
		return nil, err
	}
	text, err := mail.Render(queue.Message{Batch: b, Seq: to.Seq, Address: to.Address,
		Domain: to.Address[strings.LastIndexByte(to.Address, '@')+1:], Data: to.Data, Attempt: 1})
	if err != nil {
		return nil, fmt.Errorf("batch %d has no message for %s: %w", id, to.Address, err)
	}
	return text, nil
}

// trialOf is the copy for to: a message of the batch, marked, and told from all
// others by its Message-ID.
func trialOf(ctx context.Context, db *queue.DB, id int64, to, as string) (m queue.Message, who queue.Sample,
	err error) {
	b, err := db.Content(ctx, id)
	if err != nil {
		return m, who, err
	}
	c, err := db.Client(ctx, b.Client)
	if err != nil {
		return m, who, err
	}
	if c.Blocks {
		return m, who, exit.With(exit.Blocked,
			fmt.Errorf("the guard blocks %s, and nothing is sent for it; enotify client show %s says why", b.Client,
				b.Client))
	}
	if who, err = db.Recipient(ctx, id, as); err != nil {
		return m, who, err
	}
	address, err := db.Mailbox(ctx, to)
	if err != nil {
		return m, who, fmt.Errorf("--to: %w", err)
	}
	data, err := withAddress(who)
	if err != nil {
		return m, who, err
	}
	b.CreatedAt = time.Now() // a part of the Message-ID
	b.StartedAt = b.CreatedAt
	if marked := "[Test] " + b.Subject; utf8.RuneCountInString(marked) <= 900 {
		b.Subject = marked
	}
	b.Headers = append(b.Headers, queue.Header{Name: "X-Test-Copy", Value: fmt.Sprintf("batch %d", id)})
	return queue.Message{Batch: b, Address: address, Domain: address[strings.LastIndexByte(address, '@')+1:],
		Data: data, Attempt: 1}, who, nil
}

// withAddress is the data of a recipient, to whose address {{.address}} leads
// every recipient.
func withAddress(who queue.Sample) (json.RawMessage, error) {
	data := map[string]json.RawMessage{}
	if len(who.Data) > 0 && !bytes.Equal(who.Data, []byte("null")) {
		if err := json.Unmarshal(who.Data, &data); err != nil {
			return nil, fmt.Errorf("the data of %s is no JSON object", who.Address)
		}
	}
	if _, ok := data["address"]; !ok {
		data["address"], _ = json.Marshal(who.Address)
	}
	return json.Marshal(data)
}
