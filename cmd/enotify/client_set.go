package main

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/settings"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/sender/dkim"
)

func (a *app) clientSetCmd() *cobra.Command {
	var pool, returnPath, bounce, bounceDomain, autoSubmitted, precedence, fromSPF string
	var selectors []string
	var maxPriority int
	var limits limitFlags
	cmd := &cobra.Command{
		Use: "set DOMAIN", Short: "Set the return path, DKIM keys, bounces, limits and hours",
		Args: one("a domain"),
		Long: `Changes how mail for a client is sent, for batches that take the turn from now
on.

With --dkim-selector, messages carry one signature for each selector: an RSA key
that every receiver can check, and perhaps an Ed25519 key beside it. Every node
needs the private keys (enotify run --dkim-dir); a node without them holds the
client's mail. Publish the records first: enotify client zone DOMAIN.

With --bounce-domain, each recipient has a signed return path at a domain of the
client's, whose MX leads to enotify run --bounce-listen. With --bounce operator,
the return paths are at the domain of run --bounce-domain.

With --from-spf warn, the guard lets mail leave although the SPF record of the
From: domain forbids our addresses, where the envelope sender passes SPF and is
aligned with From: by DMARC. Some receivers refuse such mail anyway.

--per-day and --per-month limit its messages, --max-batches its batches in the
queue at once, --max-batch-size the recipients of one; 0 is no limit. What is
more waits, or with --over refuse is not taken into the queue. With --window its
mail leaves within these hours alone: enotify help windows.

With --pool, its mail leaves from the addresses of that pool alone, and its SPF
record needs to authorise no others; see enotify help addresses.`,
		Example: `  enotify client set town.example --dkim-selector s2026,s2026ed
  enotify client set town.example --dkim-selector none
  enotify client set town.example --return-path bounces@town.example
  enotify client set town.example --bounce-domain bounce.town.example`,
	}
	f := cmd.Flags()
	f.StringVar(&returnPath, "return-path", "",
		"envelope sender `ADDRESS` of its mail, or none for the From: address of each batch")
	f.StringSliceVar(&selectors, "dkim-selector", nil,
		"`SELECTOR` of a key that signs its mail; may be repeated; or none, to sign no mail")
	f.StringVar(&bounceDomain, "bounce-domain", "",
		"domain `NAME` of its signed return paths, such as bounce.town.example")
	withoutTwin(f, "bounce-domain")
	f.StringVar(&bounce, "bounce", "", "`operator` for signed return paths at the operator's domain, or off for none")
	f.StringVar(&autoSubmitted, "auto-submitted", "",
		"`VALUE` of the Auto-Submitted field of its mail: auto-generated, which keeps vacation replies away, or none")
	f.StringVar(&precedence, "precedence", "", "`VALUE` of the Precedence field of its mail: bulk, list, or none")
	f.IntVar(&maxPriority, "max-priority", 0,
		"highest priority `NUMBER` that applications may give its batches; operators may give more")
	limits.add(f)
	f.StringVar(&pool, "pool", "", "`NAME` of the pool of egress addresses that its mail leaves from")
	f.StringVar(&fromSPF, "from-spf", "",
		"`block` or warn: what it means that the SPF record of the From: domain forbids our addresses, where the envelope sender passes and is aligned")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var change queue.ClientChange
		if f.Changed("from-spf") {
			choice := queue.FromSPF(fromSPF)
			if choice != queue.FromSPFBlocks && choice != queue.FromSPFWarns {
				return exit.Usagef("--from-spf %s: want block or warn", fromSPF)
			}
			change.FromSPF = &choice
		}
		for _, field := range []struct {
			flag, value string
			allowed     []string
			to          **string
		}{
			{"auto-submitted", autoSubmitted, []string{"auto-generated", "none"}, &change.AutoSubmitted},
			{"precedence", precedence, []string{"bulk", "list", "none"}, &change.Precedence},
		} {
			if !f.Changed(field.flag) {
				continue
			}
			if !slices.Contains(field.allowed, field.value) {
				return exit.Usagef("--%s %s: want %s", field.flag, field.value, strings.Join(field.allowed, ", "))
			}
			value := field.value
			if value == "none" {
				value = ""
			}
			*field.to = &value
		}
		if f.Changed("pool") {
			change.Pool = &pool
		}
		if f.Changed("max-priority") {
			if maxPriority < 0 {
				return exit.Usagef("--max-priority %d: want 0 or more", maxPriority)
			}
			change.MaxPriority = &maxPriority
		}
		if f.Changed("return-path") {
			if returnPath == "none" {
				returnPath = ""
			} else if !strings.Contains(returnPath, "@") || strings.ContainsAny(returnPath, " <>") {
				return exit.Usagef("--return-path %s: want an address, or none", returnPath)
			}
			change.ReturnPath = &returnPath
		}
		if f.Changed("dkim-selector") {
			chosen, err := selectorsOf(selectors)
			if err != nil {
				return err
			}
			change.Selectors = &chosen
		}
		var err error
		if change.Limits, err = limits.change(f); err != nil {
			return err
		}
		if change.Bounces, err = bouncesOf(bounce, bounceDomain); err != nil {
			return err
		}
		if change == (queue.ClientChange{}) {
			return exit.Usagef("nothing to set: give --return-path, --dkim-selector, --bounce-domain, --bounce, --from-spf, --auto-submitted, --precedence, --max-priority, --pool, or a limit: enotify client set --help")
		}
		return a.withQueue(cmd.Context(), func(ctx context.Context, db *queue.DB) error {
			domain, err := db.SetClient(ctx, args[0], change)
			if err != nil {
				return err
			}
			c, err := db.Client(ctx, domain)
			if err != nil {
				return err
			}
			if change != (queue.ClientChange{Limits: change.Limits}) {
				a.hint("what it is to publish: enotify client zone %s", domain)
			}
			return a.print(c, func(p *term.Page) {
				p.Line("client %s: return path %s, %s", c.Domain, returnPathOf(c), signedWith(c.Selectors))
				if change.Limits != nil {
					p.Table(nil, limitRows(p, c)...)
				}
			})
		})
	}
	return cmd
}

// maxSelectors is how many signatures a message gets at most.
const maxSelectors = 4

func selectorsOf(given []string) ([]string, error) {
	if slices.Equal(given, []string{"none"}) {
		return []string{}, nil
	}
	chosen := []string{}
	for _, selector := range given {
		selector = strings.ToLower(strings.TrimSpace(selector))
		if err := dkim.CheckSelector(selector); err != nil {
			return nil, exit.Usagef("--dkim-selector: %w", err)
		}
		if !slices.Contains(chosen, selector) {
			chosen = append(chosen, selector)
		}
	}
	if len(chosen) == 0 || len(chosen) > maxSelectors {
		return nil, exit.Usagef("--dkim-selector: want 1 to %d selectors, or none", maxSelectors)
	}
	return chosen, nil
}

// signedWith says which keys sign.
func signedWith(selectors []string) string {
	if len(selectors) == 0 {
		return "not signed"
	}
	return "signed with " + strings.Join(selectors, ", ")
}

// bouncesOf is what client set says of bounces; nil is nothing.
func bouncesOf(mode, domain string) (*queue.Bounces, error) {
	switch {
	case mode == "" && domain == "":
		return nil, nil
	case mode != "" && domain != "":
		return nil, exit.Usagef("--bounce %s and --bounce-domain %s: give one of them", mode, domain)
	case domain != "":
		domain, err := settings.Domain("--bounce-domain", domain)
		return &queue.Bounces{Mode: queue.BounceOwn, Domain: domain}, err
	case mode == string(queue.BounceOff), mode == string(queue.BounceOperator):
		return &queue.Bounces{Mode: queue.BounceMode(mode)}, nil
	}
	return nil, exit.Usagef("--bounce %s: want operator or off; a domain of the client's own is --bounce-domain", mode)
}

// returnPathOf is the envelope sender of a client's mail in words.
func returnPathOf(c queue.Client) string {
	switch c.Bounce {
	case queue.BounceOwn:
		return "signed for each recipient, at " + c.BounceAt
	case queue.BounceOperator:
		return "signed for each recipient, at the domain of run --bounce-domain"
	}
	return cmp.Or(c.ReturnPath, "the From: address")
}
