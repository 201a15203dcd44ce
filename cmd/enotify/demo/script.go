package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
	"enotify/spfguard"
)

// A script is what the demo's application enqueues, and when.
type script struct {
	staged []batch // at the beginning, the way for many recipients
	small  []batch // in one call each, when the first batch has the turn: they go after it; none when there are no more
	urgent *batch  // when half of the first batch was tried; nil when there is none, or no more
}

func (c Config) script() (script, error) {
	if c.Own.given() {
		own, err := c.Own.read()
		return script{staged: []batch{own}}, err
	}
	warning := floodWarning(c.Size)
	return script{
		staged: []batch{newsletter(c.Size), bakeryOffer(c.Size)},
		small:  []batch{agenda(c.Size)},
		urgent: &warning,
	}, nil
}

// A client is a domain that the demo sends for, and its SPF record.
type client struct{ domain, record string }

func (s script) clients() []client {
	var clients []client
	seen := map[string]bool{}
	for _, b := range append(s.staged, s.small...) {
		c := client{spfguard.ASCII(b.from[strings.LastIndexByte(b.from, '@')+1:]), goodRecord}
		if c.domain == badClient {
			c.record = badRecord
		}
		if !seen[c.domain] {
			clients = append(clients, c)
		}
		seen[c.domain] = true
	}
	return clients
}

// describe shows the made-up internet and the clients.
func (d *demo) describe() {
	d.screen.Heading("A made-up internet: DNS and mail servers, all of it on this machine")
	for _, h := range d.internet.hosts {
		fmt.Fprintf(d.screen, "  %-17s %-10s %s\n", h.domain, h.addr, h.about)
	}
	d.screen.Heading("The clients we send for; receivers see our mail come from %s", egress)
	for _, c := range d.script.clients() {
		fmt.Fprintf(d.screen, "  %-17s TXT \"%s\"\n", c.domain, c.record)
	}
}

const login = "demo_app"

// setUp does what the operator of a real installation does once.
func (d *demo) setUp(ctx context.Context, databaseURL string) error {
	d.screen.Heading("An operator limits a destination, suppresses an address, registers the clients")
	password := rand.Text()
	if _, err := d.operator.Exec(ctx, "CREATE ROLE "+login+" LOGIN PASSWORD '"+password+
		"' IN ROLE enotify_app"); err != nil {
		return err
	}
	commands := [][]string{
		{"destination", "set", limitedDomain, "--rate", fmt.Sprintf("%d/s", limitedRate)},
		{"suppression", "add", unsubscribed},
	}
	for _, c := range d.script.clients() {
		commands = append(commands, []string{"client", "add", c.domain, "--role", login})
	}
	for _, args := range commands {
		if err := d.command(ctx, databaseURL, args); err != nil {
			return err
		}
	}
	for _, c := range d.script.clients() { // which are domains, now that they are registered
		if err := d.internet.publish(c); err != nil {
			return err
		}
	}
	u, err := url.Parse(databaseURL)
	if err != nil {
		return err
	}
	u.User = url.UserPassword(login, password)
	d.app.show = d.screen
	d.app.conn, err = pgx.Connect(ctx, u.String())
	return err
}

// command runs enotify as an operator would who has DATABASE_URL set.
func (d *demo) command(ctx context.Context, databaseURL string, args []string) error {
	fmt.Fprintf(d.screen, "  $ enotify %s\n", strings.Join(args, " "))
	getenv := func(name string) string {
		if name == "DATABASE_URL" {
			return databaseURL
		}
		return ""
	}
	return d.Enotify(ctx, getenv, args)
}

// begin enqueues all batches except the small ones and the urgent one.
func (d *demo) begin(ctx context.Context) error {
	d.screen.Heading("An application enqueues by SQL; its login %s has the role enotify_app", login)
	for _, b := range d.script.staged {
		if err := d.app.stage(ctx, b); err != nil {
			return err
		}
	}
	d.screen.Heading("A node sends")
	return nil
}

// interject enqueues what the application has for this moment. It reports whether
// there was anything.
func (d *demo) interject(ctx context.Context, first queue.Status) (bool, error) {
	switch {
	case len(d.script.small) > 0 && first.StartedAt != nil:
		b := d.script.small[0]
		d.script.small = d.script.small[1:]
		d.screen.Say("the application enqueues something small, to go when it is its turn")
		return true, d.app.enqueue(ctx, b)
	case d.script.urgent != nil && 2*(first.Pending+first.Sending) <= first.Total:
		b := *d.script.urgent
		d.script.urgent = nil
		d.screen.Say("the application enqueues something urgent")
		return true, d.app.enqueue(ctx, b)
	}
	return false, nil
}
