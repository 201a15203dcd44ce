package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/recipients"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/sender/compose"
)

// createFlags are the flags of batch create. A FILE may be -, standard input.
type createFlags struct {
	from, fromName, replyTo, subject string
	text, html                       string
	attach, headers                  []string
	recipients                       string
	priority                         int
	notBefore, expires, window       string
	listUnsubscribe, onUnknown, key  string
	lang, pool                       string
	submit, ready                    bool
}

func (a *app) batchCreateCmd() *cobra.Command {
	var c createFlags
	cmd := &cobra.Command{
		Use: "create", Short: "Create a batch from files and print its number", Args: atMost(0),
		Long: `Creates a batch from files and prints its number. When one file has a fault,
nothing is created.

Recipients are CSV in UTF-8. The first line names the columns; one of them is
"address". The others are merge data: {{.name}} in subject, text or HTML is
replaced by the column "name". Without --recipients, stage the recipients by
SQL. With --submit the batch is queued at once.

A FILE may be -, which is standard input. A TIME is RFC 3339 or a duration from
now, such as 2h or 3d.`,
		Example: `  enotify batch create --from council@town.example --subject 'Agenda for {{.ward}}' \
      --text agenda.txt --attach agenda.pdf --recipients people.csv --submit`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.createBatch(cmd, c)
		},
	}
	f := cmd.Flags()
	c.contentFlags(f)
	f.IntVar(&c.priority, "priority", 0, "`NUMBER`; a higher one goes first and interrupts batches under way")
	f.StringVar(&c.pool, "pool", "", "`NAME` of the pool of egress addresses that it leaves from; default: that of urgent batches with --priority, else that of the client")
	f.StringVar(&c.notBefore, "not-before", "", "send nothing before `TIME`")
	f.StringVar(&c.window, "window", "", "send within these `HOURS` alone, such as 'Mon-Fri 08:00-20:00 Europe/Berlin'")
	f.StringVar(&c.expires, "expires", "", "try nothing after `TIME`; default: 3 days after the batch may begin")
	f.StringVar(&c.onUnknown, "on-unknown", "hold", "`ACTION` for recipients in doubt after a crash: hold or resend")
	f.StringVar(&c.key, "key", "", "your `NAME` for the batch; creating it again with the same name gives the same batch; default: a new one")
	f.BoolVar(&c.submit, "submit", false, "queue the batch at once")
	f.BoolVar(&c.ready, "ready", false, "keep the batch as a draft until it is needed, and have nodes check each night whether it would go; next: enotify batch submit")
	return cmd
}

// contentFlags say what would be sent, and which recipients would get it.
func (c *createFlags) contentFlags(f *pflag.FlagSet) {
	f.StringVar(&c.from, "from", "", "From: `ADDRESS`; its domain is the client")
	f.StringVar(&c.fromName, "from-name", "", "`NAME` to show with the From: address")
	f.StringVar(&c.replyTo, "reply-to", "", "Reply-To: `ADDRESS`")
	f.StringVar(&c.subject, "subject", "", "`SUBJECT`, which may hold merge fields")
	f.StringVar(&c.text, "text", "", "`FILE` with the plain text, which may hold merge fields")
	f.StringVar(&c.html, "html", "", "`FILE` with the HTML, which may hold merge fields")
	f.StringArrayVar(&c.attach, "attach", nil,
		"`FILE` to attach; a picture that the HTML shows as cid:FILE is shown; may be repeated")
	f.StringArrayVar(&c.headers, "header", nil,
		"header `FIELD` of its messages, as 'X-Campaign: May'; may hold merge fields; may be repeated")
	f.StringVar(&c.recipients, "recipients", "", "CSV `FILE` with the recipients")
	f.StringVar(&c.lang, "lang", "", "`LANGUAGE` of the text, such as de or pt-BR: for Content-Language, and for the page that unsubscribes")
	f.StringVar(&c.listUnsubscribe, "list-unsubscribe", "",
		"https: or mailto: `URI` for List-Unsubscribe; may hold merge fields")
}

func (a *app) createBatch(cmd *cobra.Command, c createFlags) error {
	if err := c.check(); err != nil {
		return err
	}
	d, err := c.draft(a.stdin, time.Now())
	if err != nil {
		return err
	}
	if c.recipients != "" {
		in, err := openFile(c.recipients, a.stdin)
		if err != nil {
			return err
		}
		defer in.Close()
		list, err := recipients.NewCSV(in, c.recipients)
		if err != nil {
			return err
		}
		if err := checkFields(d, list); err != nil {
			return err
		}
		d.Recipients = list.Next
	}
	return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
		made, err := db.Create(ctx, d)
		if err != nil {
			return fmt.Errorf("%w; nothing was created", err)
		}
		s, err := db.Status(ctx, made.ID)
		if err != nil {
			return err
		}
		switch {
		case made.Existed:
			a.hint("batch %d has the key %q already and is %s; nothing was added to it", s.ID, d.Key, s.State)
		case c.ready:
			a.hint("batch %d is kept ready with %s; enotify batch list shows whether it would go; to send it: enotify batch submit %d", s.ID, figures.Some(made.Recipients, "staged recipient"), s.ID)
		case s.State == "draft":
			a.hint("batch %d is a draft with %s; next: enotify batch submit %d", s.ID,
				figures.Some(made.Recipients, "staged recipient"), s.ID)
		default:
			a.hint("batch %d is %s: %s; see enotify batch show %d", s.ID, s.State, tally(s), s.ID)
		}
		return a.print(s, func(p *term.Page) { p.Line("%d", s.ID) })
	})
}

// check looks at the flags alone.
func (c createFlags) check() error {
	switch {
	case c.from == "":
		return exit.Usagef("--from is missing: the address of the From: field")
	case c.subject == "":
		return exit.Usagef("--subject is missing")
	case c.text == "" && c.html == "":
		return exit.Usagef("--text or --html is missing: a file with the body")
	case c.onUnknown != string(queue.Hold) && c.onUnknown != string(queue.Resend):
		return exit.Usagef("--on-unknown %s: want hold or resend", c.onUnknown)
	case c.submit && c.ready:
		return exit.Usagef("--submit queues the batch at once, --ready keeps it as a draft: give one of them")
	case c.submit && c.recipients == "":
		return exit.Usagef("--submit needs --recipients; recipients that are staged by SQL are submitted with enotify batch submit")
	}
	stdin := 0
	for _, file := range append([]string{c.text, c.html, c.recipients}, c.attach...) {
		if file == "-" {
			stdin++
		}
	}
	if stdin > 1 {
		return exit.Usagef("only one file can be -, standard input")
	}
	return nil
}

// draft reads what the batch says, and checks that it can be composed.
func (c createFlags) draft(stdin io.Reader, now time.Time) (d queue.Draft, err error) {
	if d, err = c.read(stdin, now); err != nil {
		return d, err
	}
	if err := compose.Check(&d.Batch); err != nil {
		return d, fmt.Errorf("%w; nothing was created", err)
	}
	return d, nil
}

// read reads what the batch says.
func (c createFlags) read(stdin io.Reader, now time.Time) (d queue.Draft, err error) {
	d = queue.Draft{Key: c.key, Pool: c.pool, Submit: c.submit, Ready: c.ready, Window: c.window, Batch: queue.Batch{
		From: c.from, FromName: c.fromName, ReplyTo: c.replyTo, Subject: c.subject, ListUnsubscribe: c.listUnsubscribe,
		Lang:     c.lang,
		Priority: c.priority, CreatedAt: now, OnUnknown: queue.OnUnknown(c.onUnknown),
	}}
	if d.Key == "" {
		d.Key = "cli-" + strings.ToLower(rand.Text())
	}
	for _, t := range []struct {
		flag, text string
		at         *time.Time
	}{{"--not-before", c.notBefore, &d.NotBefore}, {"--expires", c.expires, &d.ExpiresAt}} {
		if t.text == "" {
			continue
		}
		if *t.at, err = figures.ParseMoment(t.text, now); err != nil {
			return d, exit.Usagef("%s: %w", t.flag, err)
		}
		if t.at.Year() < 2000 { // the zero time would be no time
			return d, exit.Usagef("%s %s: want a time from the year 2000 on", t.flag, t.text)
		}
	}
	for _, body := range []struct {
		file string
		to   *string
	}{{c.text, &d.Text}, {c.html, &d.HTML}} {
		if body.file == "" {
			continue
		}
		if *body.to, err = readText(body.file, stdin); err != nil {
			return d, err
		}
	}
	for _, field := range c.headers {
		name, value, ok := strings.Cut(field, ":")
		if !ok {
			return d, exit.Usagef("--header %q: want NAME: VALUE", field)
		}
		d.Headers = append(d.Headers, queue.Header{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)})
	}
	for _, file := range c.attach {
		content, err := readFile(file, stdin)
		if err != nil {
			return d, err
		}
		d.Attachments = append(d.Attachments, queue.Attachment{Filename: filepath.Base(file), Content: content})
	}
	return d, nil
}

// checkFields finds merge fields that no recipient could fill.
func checkFields(d queue.Draft, list *recipients.CSV) error {
	type part struct{ name, content string }
	parts := []part{{"subject", d.Subject}, {"list-unsubscribe", d.ListUnsubscribe}, {"text", d.Text}, {"html", d.HTML}}
	for _, h := range d.Headers {
		parts = append(parts, part{"header field " + h.Name, h.Value})
	}
	for _, part := range parts {
		for _, field := range recipients.MergeFields(part.content) {
			if !list.Fills(field) {
				return fmt.Errorf("the %s asks for {{.%s}}, but %s has no column %s: it has %s; nothing was created",
					part.name, field, list.Name(), field, term.Clip(strings.Join(list.Columns(), ", "), 200))
			}
		}
	}
	return nil
}

// maxFileBytes is what the database takes of an attachment, and more than any
// body should have.
const maxFileBytes = 25 << 20

func openFile(name string, stdin io.Reader) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(stdin), nil
	}
	return os.Open(name)
}

func readFile(name string, stdin io.Reader) ([]byte, error) {
	in, err := openFile(name, stdin)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	content, err := io.ReadAll(io.LimitReader(in, maxFileBytes+1))
	if err == nil && len(content) > maxFileBytes {
		err = fmt.Errorf("%s is larger than %d MiB", name, maxFileBytes>>20)
	}
	return content, err
}

// readText reads a body: not empty, UTF-8, without byte order mark.
func readText(name string, stdin io.Reader) (string, error) {
	content, err := readFile(name, stdin)
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w; name a file that holds the text, or - for standard input", err)
	case err != nil:
		return "", err
	case bytes.HasPrefix(content, []byte{0xff, 0xfe}), bytes.HasPrefix(content, []byte{0xfe, 0xff}):
		return "", fmt.Errorf("%s is in UTF-16; save it as UTF-8", name)
	case len(bytes.TrimSpace(content)) == 0:
		return "", fmt.Errorf("%s is empty", name)
	case !utf8.Valid(content):
		return "", fmt.Errorf("%s is not in UTF-8", name)
	case bytes.IndexByte(content, 0) >= 0:
		return "", errors.New(name + " holds a NUL; it is no text file")
	}
	return string(content), nil
}
