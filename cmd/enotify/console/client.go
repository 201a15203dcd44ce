package console

import (
	"context"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"

	"enotify/cmd/enotify/destinations"
	"enotify/cmd/enotify/figures"
	"enotify/queue"
	"enotify/queue/insight"
)

// client is the page of a client.
func (c *console) client(domain string) []part {
	return []part{
		{"client", 2 * time.Second, func(ctx context.Context) (template.HTML,
			error) {
			return c.clientHead(ctx, domain)
		}},
		{"verdicts", 5 * time.Second, func(ctx context.Context) (template.HTML, error) {
			return c.verdicts(ctx, domain, func(queue.StoredVerdict) bool { return true })
		}},
		{"batches", 2 * time.Second, func(ctx context.Context) (template.HTML, error) {
			return c.batches(ctx, queue.Filter{Client: domain, Limit: 20})
		}},
	}
}

func (c *console) clientHead(ctx context.Context, domain string) (template.HTML, error) {
	k, err := c.db.Client(ctx, domain)
	if err != nil {
		return "", err
	}
	v := struct {
		Tone, Word, Say, Domain string
		Facts                   []fact
	}{Domain: domain}
	switch {
	case k.Blocks:
		v.Tone, v.Word, v.Say = "block", "Its mail is stopped",
			"Receivers would refuse it. What to publish in the DNS cures it; the guard then lets it go by itself."
	case k.SPF == "":
		v.Tone, v.Word, v.Say = "info", "Not checked yet", "The guard looks at the DNS before the first batch."
	case k.SPF != "pass":
		v.Tone, v.Word, v.Say = "warn", "SPF says "+k.SPF, "Mail goes, and some receivers doubt it."
	default:
		v.Tone, v.Word, v.Say = "pass", "It may send", "Its DNS lets every address of ours send."
	}
	logins := strings.Join(k.Logins, ", ")
	if logins == "" {
		logins = "any that is tied to no client"
	}
	v.Facts = []fact{{"Client", domain, ""}, {"Logins", logins, ""}, {"DKIM", signers(k.Selectors), ""}}
	for _, state := range slices.Sorted(maps.Keys(k.Batches)) {
		v.Facts = append(v.Facts, fact{"Batches " + state, figures.Count(k.Batches[state]), ""})
	}
	return fill("client", v)
}

func signers(selectors []string) string {
	if len(selectors) == 0 {
		return "not signed"
	}
	return strings.Join(selectors, ", ")
}

// site is the page of a recipient domain or site.
func (c *console) site(name string) []part {
	report := func(ctx context.Context) (*destinations.Report, error) {
		known, err := destinations.ParseName(ctx, c.db, name)
		if err != nil { // a site may be a name that no provider's list has
			sites, failed := insight.Of(c.db).AreSites(ctx, []string{name})
			if failed != nil || len(sites) == 0 {
				return nil, err
			}
			known = name
		}
		return destinations.Show(ctx, c.db, known, time.Now())
	}
	return []part{
		{"site", 2 * time.Second, func(ctx context.Context) (template.HTML, error) {
			r, err := report(ctx)
			if err != nil {
				return fill("summary", map[string]any{"Tone": "warn", "Word": "There is no such site",
					"Say": err.Error(), "Facts": nil})
			}
			v := struct {
				Tone, Word, Say, Name string
				Facts                 []fact
			}{Name: r.Name, Facts: []fact{{"Not tried yet", figures.Count(r.Untried), ""},
				{"Deferred", figures.Count(r.Deferred), ""}, {"Domains", figures.Count(r.Domains), ""}}}
			if r.NextDue != nil {
				v.Facts[1].Note = "next try " + figures.Clock(*r.NextDue)
			}
			v.Tone, v.Word, v.Say = "pass", r.Name, "Nothing is known that slows it beyond its limits."
			if len(r.Learned) > 0 {
				v.Tone, v.Say = "warn", r.Learned[0]
			}
			return fill("site", v)
		}},
		{"limits", 2 * time.Second, func(ctx context.Context) (template.HTML, error) {
			r, err := report(ctx)
			if err != nil {
				return "", nil // the part above says so
			}
			return fill("limits", r)
		}},
	}
}
