package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/judge"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

func (a *app) clientCmd() *cobra.Command {
	return noun("client", "Domains that we send for", a.clientAddCmd(), a.clientListCmd(), a.clientShowCmd(),
		a.clientSetCmd(), a.clientKeyCmd(), a.clientZoneCmd(), a.clientCheckCmd(), a.clientTemplateCmd(),
		a.clientRemoveCmd())
}

func (a *app) clientAddCmd() *cobra.Command {
	var logins []string
	cmd := &cobra.Command{
		Use: "add DOMAIN", Short: "Register a domain, or tie it to more logins", Args: one("a domain"),
		Long: `Registers the domain of From: addresses. With --role, the client is tied to
logins of the database: only these send for it, and they send for no other
client. Each becomes a member of enotify_app.`,
		Example: "  enotify client add town.example --role town_cms",
		RunE: a.onQueue(func(ctx context.Context, db *queue.DB, args []string) error {
			domain, registered, err := db.AddClient(ctx, args[0], logins)
			if err != nil {
				return err
			}
			if registered {
				if err := a.say("client %s registered", domain); err != nil {
					return err
				}
			}
			clients, err := db.Clients(ctx)
			if err != nil {
				return err
			}
			for _, login := range logins {
				if err := a.say("login %s may send for %s, and for no other client", login,
					domainsOf(clients, login)); err != nil {
					return err
				}
			}
			if c := clients[slices.IndexFunc(clients,
				func(c queue.Client) bool { return c.Domain == domain })]; len(c.Logins) > len(logins) {
				return a.say("client %s is tied to %s", domain, loginsWord(c.Logins))
			}
			return nil
		}),
	}
	cmd.Flags().StringArrayVar(&logins, "role", nil, "`LOGIN` that may send for the client; may be repeated")
	return cmd
}

// domainsOf names the clients that a login is tied to.
func domainsOf(clients []queue.Client, login string) string {
	var domains []string
	for _, c := range clients {
		if slices.Contains(c.Logins, login) {
			domains = append(domains, c.Domain)
		}
	}
	return strings.Join(domains, ", ")
}

func (a *app) clientListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the clients", Args: atMost(0),
		RunE: a.onReader(func(ctx context.Context, db *queue.DB, _ []string) error {
			clients, err := db.Clients(ctx)
			if err != nil {
				return err
			}
			if len(clients) == 0 {
				a.hint("no clients yet; register one: enotify client add DOMAIN")
			}
			return a.print(clients, func(p *term.Page) {
				if len(clients) == 0 {
					return
				}
				var rows [][]string
				for _, c := range clients {
					rows = append(rows, []string{c.Domain, spfWord(c.SPF), figures.Count(batchTotal(c)),
						figures.Count(c.Unfinished), loginsWord(c.Logins)})
				}
				p.Table([]string{"CLIENT", "SPF", "BATCHES", "UNFINISHED", "LOGINS"}, rows...)
			})
		}),
	}
}

func spfWord(result string) string {
	if result == "" {
		return "not checked yet"
	}
	return result
}

func loginsWord(logins []string) string {
	if len(logins) == 0 {
		return "any that is tied to no client"
	}
	return strings.Join(logins, ", ")
}

func batchTotal(c queue.Client) (n int) {
	for _, k := range c.Batches {
		n += k
	}
	return n
}

// verdictsShown is how many verdicts are shown, the current ones included.
const verdictsShown = 30

func (a *app) clientShowCmd() *cobra.Command {
	return &cobra.Command{
		Use: "show DOMAIN", Short: "Show a client: logins, SPF results, batches", Args: one("a domain"),
		RunE: a.onReader(func(ctx context.Context, db *queue.DB, args []string) error {
			c, err := db.Client(ctx, args[0])
			if err != nil {
				return err
			}
			found, err := db.Verdicts(ctx, c.Domain, verdictsShown)
			if err != nil {
				return err
			}
			return a.print(struct {
				queue.Client
				Verdicts []queue.StoredVerdict `json:"verdicts"`
			}{c, found}, func(p *term.Page) {
				layClient(p, c)
				layVerdicts(p, found)
			})
		}),
	}
}

func layClient(p *term.Page, c queue.Client) {
	rows := [][]string{{"client", c.Domain}, {"registered", p.Ago(c.CreatedAt)}, {"logins", loginsWord(c.Logins)}}
	if c.ReturnPath != "" || c.Bounce != queue.BounceOff {
		rows = append(rows, []string{"return path", returnPathOf(c)})
	}
	rows = append(rows, []string{"DKIM", signedWith(c.Selectors)})
	if c.FromSPF == queue.FromSPFWarns {
		rows = append(rows, []string{"SPF of From:",
			"a record that forbids our addresses warns where the envelope sender passes and is aligned"})
	}
	if c.Pool != queue.DefaultPool {
		rows = append(rows, []string{"pool", c.Pool})
	}
	rows = append(rows, limitRows(p, c)...)
	var states []string
	for _, state := range slices.Sorted(maps.Keys(c.Batches)) {
		states = append(states, figures.Count(c.Batches[state])+" "+state)
	}
	p.Table(nil, append(rows, []string{"batches", cmp.Or(strings.Join(states, ", "), "none")})...)
}

func (a *app) clientRemoveCmd() *cobra.Command {
	var withBatches bool
	cmd := &cobra.Command{
		Use: "rm DOMAIN", Short: "Remove a client", Args: one("a domain"),
		Long: `Removes a client with its logins, its SPF results and the suppressions that hold
for it alone. A client with batches is kept unless --with-batches is given and
all batches have finished; the records of what was sent to whom are then deleted
too.`,
	}
	cmd.Flags().BoolVar(&withBatches, "with-batches", false, "also delete the records of its finished batches")
	yes := yesFlag(cmd)
	cmd.RunE = a.onQueue(func(ctx context.Context, db *queue.DB, args []string) error {
		c, err := db.Client(ctx, args[0])
		if err != nil {
			return err
		}
		what := "remove client " + c.Domain
		if withBatches && batchTotal(c) > 0 {
			what += " and the record of " + figures.Some(batchTotal(c), "batch")
		}
		if err := a.confirm(*yes, "%s?", what); err != nil {
			return err
		}
		if err := db.RemoveClient(ctx, c.Domain, withBatches); err != nil && !errors.Is(err, queue.ErrNotFound) {
			return err
		}
		return a.say("client %s removed", c.Domain)
	})
	return cmd
}

// layVerdicts prints the current verdicts with their cures, then the changes.
func layVerdicts(p *term.Page, found []queue.StoredVerdict) {
	p.Heading("Guard")
	var past [][]string
	for _, v := range found {
		if v.SupersededAt != nil {
			past = append(past, []string{figures.Clock(v.Since), figures.Clock(*v.SupersededAt), v.Egress.String(),
				v.Result, term.Clip(v.Explanation, 90)})
			continue
		}
		layVerdict(p, v)
	}
	if len(found) == 0 {
		p.Say("not checked yet: the guard looks before the first batch is sent; enotify spf check looks now")
	}
	if len(past) > 0 {
		p.Heading("Earlier verdicts")
		p.Table([]string{"FROM", "UNTIL", "EGRESS", "RESULT", "WHY"}, past...)
	}
}

func layVerdict(p *term.Page, v queue.StoredVerdict) {
	effect := "does not block"
	if v.Blocks {
		effect = "blocks the client's batches"
	}
	what := ""
	if v.Identity == judge.DMARC {
		what = "DMARC "
	}
	p.Line("%s%s for %s from %s: %s, since %s, checked %s ago", what, p.Paint(v.Result, term.StyleOf(v.Result)),
		v.Domain, v.Egress, effect, figures.Clock(v.Since), figures.Span(p.Now.Sub(v.CheckedAt)))
	var rows [][]string
	if v.Identity != judge.DKIM {
		rows = append(rows, []string{"  record", cmp.Or(v.Record, "none")})
	}
	if v.Explanation != "" {
		rows = append(rows, []string{"  why", v.Explanation})
	}
	if v.Fix != "" {
		rows = append(rows, []string{"  publish", v.Fix})
	}
	p.Table(nil, rows...)
}
