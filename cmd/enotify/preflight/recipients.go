package preflight

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"enotify/cmd/enotify/figures"
	"enotify/queue"
	"enotify/queue/insight"
)

// maxAsking look-ups of recipient domains are under way at once.
const maxAsking = 200

// A Directory says who takes the mail of each recipient domain.
type Directory struct {
	Facts      map[string]queue.Survey
	Smarthost  string   // host that takes all mail in place of the domains' own; "" is none
	Unanswered []string // domains for which the DNS gave no answer, most recipients first
	Trouble    error    // of one of them
	Asked      int      // were not known before

	NotDialled map[string]string // why none of its hosts is dialled, by site; of one domain of each
}

// AskReach finds the sites whose mail hosts are dialled by no node, of each by
// its domain with the most recipients.
func (in *Input) AskReach(ctx context.Context, ask func(ctx context.Context, domain string) string) {
	in.Directory.NotDialled = map[string]string{}
	asked := map[string]bool{}
	var mu sync.Mutex
	var asking errgroup.Group
	asking.SetLimit(maxAsking)
	for _, c := range in.Census.Domains {
		fact, known := in.Directory.Facts[c.Domain]
		if !known || fact.NoMail != nil || asked[fact.Site] || ctx.Err() != nil {
			continue
		}
		asked[fact.Site] = true
		asking.Go(func() error {
			if why := ask(ctx, c.Domain); why != "" {
				mu.Lock()
				in.Directory.NotDialled[fact.Site] = why
				mu.Unlock()
			}
			return nil
		})
	}
	_ = asking.Wait() // it has no error
}

// AskDomains completes what is known of domains by asking, and returns that
// and what was found out. progress may be nil.
func AskDomains(ctx context.Context, domains []insight.DomainCount, known []queue.DomainFact,
	ask func(ctx context.Context, domain string) (queue.Survey, error),
	progress func(done, all int)) (d Directory, found []queue.DomainFact, err error) {
	d.Facts = make(map[string]queue.Survey, len(domains))
	for _, f := range known {
		d.Facts[f.Domain] = f.Survey
	}
	var open []string
	for _, c := range domains {
		if _, ok := d.Facts[c.Domain]; !ok {
			open = append(open, c.Domain)
		}
	}
	d.Asked = len(open)
	var mu sync.Mutex
	var asking errgroup.Group
	asking.SetLimit(maxAsking)
	done := 0
	for _, domain := range open {
		if ctx.Err() != nil {
			break
		}
		asking.Go(func() error {
			s, err := ask(ctx, domain)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				d.Unanswered = append(d.Unanswered, domain)
				d.Trouble = err
			} else {
				d.Facts[domain] = s
				found = append(found, queue.DomainFact{Domain: domain, Survey: s})
			}
			if done++; progress != nil {
				progress(done, len(open))
			}
			return nil
		})
	}
	_ = asking.Wait() // it has no error
	at := make(map[string]int, len(open))
	for i, domain := range open {
		at[domain] = i
	}
	slices.SortFunc(d.Unanswered, func(a, b string) int { return at[a] - at[b] })
	return d, found, ctx.Err()
}

// site is the site that takes the mail of a domain; an unknown domain is its own site.
func (d Directory) site(domain string) string {
	return cmp.Or(d.Smarthost, cmp.Or(d.Facts[domain].Site, domain))
}

// sites groups the recipients by who takes their mail, the largest first.
// Domains that take none are left out.
func (in *Input) sites() []Site {
	at := map[string]*Site{}
	var order []*Site
	for _, c := range in.Census.Domains {
		if in.Directory.Facts[c.Domain].NoMail != nil {
			continue
		}
		name := in.Directory.site(c.Domain)
		s := at[name]
		if s == nil {
			s = &Site{Name: name}
			at[name] = s
			order = append(order, s)
		}
		s.Domains++
		s.Recipients += c.N
	}
	slices.SortStableFunc(order, func(a, b *Site) int {
		return cmp.Or(cmp.Compare(b.Recipients, a.Recipients), strings.Compare(a.Name, b.Name))
	})
	sites := make([]Site, len(order))
	for i, s := range order {
		sites[i] = *s
	}
	return sites
}

// checkRecipients counts the addresses on the list, and those that should not be on it.
func checkRecipients(_ context.Context, in *Input) []Finding {
	c := in.Census
	return []Finding{syntax(c), duplicates(c), suppressed(c, in.Now), roles(c), noMail(in, "rcpt.nomx"),
		noMail(in, "rcpt.nullmx"), notDialled(in), typos(in), providers(in), newcomers(c)}
}

func syntax(c *insight.Census) Finding {
	f := Finding{ID: "rcpt.syntax", Severity: Pass, Found: "All addresses are well formed."}
	n := 0
	for _, t := range c.Invalid {
		n += t.N
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %s, as in %q", figures.Some(t.N, "address"), t.Reason,
			t.Example))
	}
	if n > 0 {
		f.Severity = Info
		f.Found = fmt.Sprintf("%s not be sent to: no mail address.", will(n, "address"))
	}
	if c.UTF8 > 0 {
		f.Severity = Info
		f.Evidence = append(f.Evidence, figures.Some(c.UTF8, "address")+
			" with letters outside ASCII before the @: only receivers with SMTPUTF8 (RFC 6531) take them")
	}
	if c.Sendable == 0 {
		f.Severity, f.Enforced = Block, true
		f.Found = "Nobody is left to send to."
	}
	return f
}

func will(n int, thing string) string { return figures.Some(n, thing) + " will" }

func duplicates(c *insight.Census) Finding {
	if c.Duplicates == 0 {
		return Finding{ID: "rcpt.dup", Severity: Pass, Found: "No address is there twice."}
	}
	return Finding{ID: "rcpt.dup", Severity: Info,
		Found: fmt.Sprintf("%s an address; everybody gets one message.",
			map[bool]string{true: "1 line repeats", false: figures.Some(c.Duplicates, "line") +
				" repeat"}[c.Duplicates == 1])}
}

func suppressed(c *insight.Census, now time.Time) Finding {
	f := Finding{ID: "rcpt.suppressed", Severity: Pass, Found: "Nobody on the list is suppressed."}
	n := 0
	for _, s := range c.Suppressed {
		n += s.N
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %s, %s to %s old", s.Cause, figures.Count(s.N),
			figures.Estimate(now.Sub(s.Newest)), figures.Estimate(now.Sub(s.Oldest))))
	}
	if n > 0 {
		f.Severity = Info
		f.Found = fmt.Sprintf("%s not be sent to: suppressed.", will(n, "address"))
	}
	return f
}

func roles(c *insight.Census) Finding {
	if c.Roles == 0 {
		return Finding{ID: "rcpt.role", Severity: Pass, Found: "No postmaster, abuse, noreply and the like."}
	}
	return Finding{ID: "rcpt.role", Severity: Warn, Evidence: c.RoleExamples,
		Found: fmt.Sprintf("%s of role accounts, which nobody in particular reads and which are often traps for spam.",
			figures.Some(c.Roles, "address")),
		Advice: "Find out who subscribed them; take them off the list if nobody did."}
}

// nullMX is the enhanced status code of a domain that takes no mail (RFC 7505 §4.2).
const nullMX = "5.1.10"

// noMail lists the domains that take no mail, either because they say so or
// because there is nothing at all.
func noMail(in *Input, id string) Finding {
	var domains []string
	n := 0
	for _, c := range in.Census.Domains {
		no := in.Directory.Facts[c.Domain].NoMail
		if no == nil || (no.Reply.Enhanced == nullMX) != (id == "rcpt.nullmx") {
			continue
		}
		n += c.N
		domains = append(domains, fmt.Sprintf("%s: %s, %s", c.Domain, figures.Some(c.N, "recipient"), no.Reply.Text))
	}
	f := Finding{ID: id, Severity: Pass}
	open := in.Directory.Unanswered
	switch {
	case n > 0:
		f.Severity = Warn
		f.Found = fmt.Sprintf("%s at %s would bounce at once: the domains take no mail.", figures.Some(n, "recipient"),
			figures.Some(len(domains), "domain"))
		f.Evidence = domains[:min(len(domains), 10)]
		if more := len(domains) - len(f.Evidence); more > 0 {
			f.Evidence = append(f.Evidence, "and "+figures.Some(more, "more domain"))
		}
		f.Advice = "Take them off the list; they count as bounces."
	case len(open) > 0:
		f = unsure(id, in.Directory.Trouble)
		f.Found = fmt.Sprintf("The DNS gave no answer for %s of %s.", figures.Count(len(open)),
			figures.Some(len(in.Census.Domains), "domain"))
		f.Evidence = []string{in.Directory.Trouble.Error()}
	case id == "rcpt.nullmx":
		f.Found = "No domain declares that it takes no mail."
	default:
		if f.Found = "The domain takes mail."; len(in.Census.Domains) != 1 {
			f.Found = fmt.Sprintf("All %s take mail.", figures.Some(len(in.Census.Domains), "domain"))
		}
	}
	if n > 0 && len(open) > 0 {
		f.Evidence = append(f.Evidence, "no answer for "+figures.Some(len(open), "more domain"))
	}
	return f
}

// notDialled lists the domains whose mail hosts are at addresses that no node
// dials: private, loopback and the like.
func notDialled(in *Input) Finding {
	f := Finding{ID: "mx.private", Severity: Pass, Found: "No mail host is at an address where no mail is sent to."}
	if in.Directory.Smarthost != "" {
		f.Found = "The smarthost gets all mail, whatever the MX records say."
		return f
	}
	n, domains := 0, 0
	for _, c := range in.Census.Domains {
		why := in.Directory.NotDialled[in.Directory.site(c.Domain)]
		if why == "" || in.Directory.Facts[c.Domain].NoMail != nil {
			continue
		}
		n += c.N
		if domains++; domains <= 10 {
			f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %s, %s", c.Domain, figures.Some(c.N, "recipient"), why))
		}
	}
	if open := in.Directory.Unanswered; n == 0 && len(open) > 0 {
		f = unsure(f.ID, in.Directory.Trouble)
		f.Found = fmt.Sprintf("The DNS gave no answer for %s of %s.", figures.Count(len(open)),
			figures.Some(len(in.Census.Domains), "domain"))
		f.Evidence = []string{in.Directory.Trouble.Error()}
	}
	if n == 0 {
		return f
	}
	f.Severity = Warn
	f.Found = fmt.Sprintf("%s at %s would bounce at once: their mail hosts are at addresses that are not dialled.",
		figures.Some(n, "recipient"), figures.Some(domains, "domain"))
	if more := domains - len(f.Evidence); more > 0 {
		f.Evidence = append(f.Evidence, "and "+figures.Some(more, "more domain"))
	}
	f.Advice = "Take them off the list. Where a receiver of your own network is meant, start the nodes with --allow-mx and its network."
	return f
}

// big are the domains that people mistype.
var big = []string{"aol.com", "comcast.net", "free.fr", "gmail.com", "gmx.de", "gmx.net", "hotmail.com", "hotmail.fr",
	"icloud.com", "laposte.net", "live.com",
	"msn.com", "orange.fr", "outlook.com", "t-online.de", "verizon.net", "wanadoo.fr", "web.de", "yahoo.com",
	"yahoo.fr", "yahoo.co.uk"}

// typos finds domains without mail that are one slip away from a big one.
func typos(in *Input) Finding {
	f := Finding{ID: "rcpt.typo", Severity: Pass, Found: "No domain that takes no mail is close to a well-known one."}
	n := 0
	for _, c := range in.Census.Domains {
		if in.Directory.Facts[c.Domain].NoMail == nil {
			continue
		}
		for _, b := range big {
			if oneEdit(c.Domain, b) {
				n += c.N
				f.Evidence = append(f.Evidence,
					fmt.Sprintf("%s: %s, probably %s", c.Domain, figures.Some(c.N, "recipient"), b))
				break
			}
		}
	}
	if n > 0 {
		f.Severity, f.Found = Info, fmt.Sprintf("%s probably misspelt.",
			map[bool]string{true: "1 address is", false: figures.Some(n, "address") + " are"}[n == 1])
		f.Evidence = f.Evidence[:min(len(f.Evidence), 20)]
	} else if len(in.Directory.Unanswered) > 0 {
		f = unsure(f.ID, in.Directory.Trouble)
	}
	return f
}

// oneEdit reports whether a becomes b by one letter more, less, another one, or
// by exchanging two neighbours.
func oneEdit(a, b string) bool {
	if a == b || len(a)-len(b) > 1 || len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	x, y := a[i:], b[i:]
	switch {
	case len(x) > len(y):
		return x[1:] == y
	case len(y) > len(x):
		return y[1:] == x
	case x[1:] == y[1:]:
		return true
	default:
		return len(x) > 1 && x[0] == y[1] && x[1] == y[0] && x[2:] == y[2:]
	}
}

func providers(in *Input) Finding {
	f := Finding{ID: "rcpt.provider", Severity: Info}
	sites := in.sites()
	total := 0
	for _, s := range sites {
		total += s.Recipients
	}
	var shares []string
	for _, s := range sites[:min(len(sites), 5)] {
		shares = append(shares, fmt.Sprintf("%s %s", s.Name,
			figures.Percent(float64(s.Recipients)/float64(max(1, total)))))
	}
	f.Found = fmt.Sprintf("%s at %s: %s.", figures.Some(total, "recipient"), figures.Some(len(sites), "mail provider"),
		strings.Join(shares, ", "))
	if in.Directory.Smarthost != "" {
		f.Found = fmt.Sprintf("All mail goes to %s; what it does with it is not seen from here.",
			in.Directory.Smarthost)
	}
	if n := len(in.Directory.Unanswered); n > 0 {
		f.Evidence = append(f.Evidence, "the DNS gave no answer for "+figures.Some(n, "domain"))
	}
	return f
}

// manyNew is from which share on never-mailed addresses look like a list that
// was bought or is old.
const manyNew = 0.2

func newcomers(c *insight.Census) Finding {
	f := Finding{ID: "rcpt.new", Severity: Pass}
	if c.Sendable == 0 {
		f.Severity, f.Found = NotChecked, "No recipient is left to send to."
		return f
	}
	fresh := c.Sendable - c.Known
	share := float64(fresh) / float64(c.Sendable)
	f.Found = fmt.Sprintf("%s of the recipients were on none of the client's last %s.", figures.Percent(share),
		map[bool]string{true: "batches", false: figures.Some(c.EarlierBatches, "batch")}[c.EarlierBatches == 1])
	switch {
	case c.EarlierBatches == 0:
		f.Severity = Warn
		f.Found = "This is the client's first batch here: receivers have not seen its mail from our servers."
		f.Advice = "If it is large, begin with the recipients that open most of your mail, and let it grow over some weeks."
	case share > manyNew && c.Sendable >= MinSample:
		f.Severity = Warn
		f.Advice = "Make sure that these people asked for the mail. An old or bought list brings bounces and complaints, and those bring blocks for all clients."
	}
	return f
}
