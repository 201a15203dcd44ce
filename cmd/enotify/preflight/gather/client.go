// Package gather finds out what the checks of package preflight look at: in the
// queue, in the DNS, in the directory of keys. It composes messages as a node
// would.
package gather

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/judge"
	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/settings"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/sender/dkim"
	"enotify/spfguard/dns"
)

// Sources say where to look, and how the nodes are set up. Its errors call the
// fields by the flags of enotify preflight.
type Sources struct {
	// DB is the queue; nil looks at the DNS alone, which takes Egress and HELO.
	DB *queue.DB
	// Resolver is the DNS server, HOST:PORT; "" is the system's.
	Resolver string

	// Egress are the addresses that receivers see; none means those of Pool at live nodes.
	Egress []string
	// Pool is the pool of egress addresses; "" is the one that the batch leaves from, and
	// without a batch those that the client's mail leaves from.
	Pool string
	// HELO is our name at EHLO; "" means the live nodes' name.
	HELO string
	// MailFrom is the envelope sender; "" is the client's return path, else the
	// From: address.
	MailFrom string
	// Lists are zones of DNS block lists to ask.
	Lists []string
	// Keys are the DKIM keys; without a path, what the nodes say of theirs.
	Keys dkim.Directory
	// Operator is the operator's own key in Keys, DOMAIN/SELECTOR, that signs beside
	// the client's; "" is none.
	Operator string
	// BounceDomain, PublicURL and Smarthost override the live nodes' settings.
	BounceDomain, PublicURL, Smarthost string
	// AllowMX are the networks that the nodes may dial receivers in.
	AllowMX []string
	// Message is what a message takes in one connection; 0 asks the nodes.
	Message time.Duration

	adopted bool // Keys.Path is a node's folder, perhaps on another host

	// Progress is called with the name of each step; it may be nil.
	Progress *term.Progress

	allowMX []netip.Prefix // AllowMX, once checked
}

// Check reports the first setting that makes no sense. It connects to nothing.
func (s *Sources) Check() (err error) {
	if s.BounceDomain, err = settings.Domain("--bounce-domain", s.BounceDomain); err != nil {
		return err
	}
	for _, zone := range s.Lists {
		if !strings.Contains(zone, ".") || strings.ContainsAny(zone, " /:@") {
			return exit.Usagef("--dnsbl %s: want a domain, such as zen.spamhaus.org", zone)
		}
	}
	if s.allowMX, err = settings.Networks("--allow-mx", s.AllowMX); err != nil {
		return err
	}
	return settings.HostPort("--smarthost", s.Smarthost)
}

func (s *Sources) say(format string, args ...any) {
	if s.Progress != nil {
		s.Progress.Say(format, args...)
	}
}

// Client gathers what the checks of a client look at, given an address of its.
func (s *Sources) Client(ctx context.Context, from string) (*preflight.Input, error) {
	var nodes []queue.Node
	var err error
	if s.DB != nil {
		if nodes, err = s.DB.Nodes(ctx); err != nil {
			return nil, err
		}
	}
	s.adopt(nodes)
	domain := strings.ToLower(from[strings.LastIndexByte(from, '@')+1:])
	egress, err := s.addresses(ctx, nodes, domain)
	if err != nil {
		return nil, err
	}
	in := &preflight.Input{
		Now: time.Now(), DNS: &dns.Resolver{Server: s.Resolver, MaxEntries: maxAnswers}, Egress: egress, Lists: s.Lists,
		From: from, MailFrom: from, Client: domain,
	}
	if s.DB == nil {
		in.MailFrom = cmp.Or(s.MailFrom, from)
		return in, nil
	}
	c, err := s.DB.Client(ctx, in.Client)
	if err != nil && !errors.Is(err, queue.ErrNotFound) {
		return nil, err
	}
	if err := s.readKeys(ctx, in, c); err != nil {
		return nil, err
	}
	in.FromSPF = c.FromSPF
	switch {
	case s.MailFrom != "":
		in.MailFrom = s.MailFrom
	case c.Bounce == queue.BounceOwn:
		in.MailFrom = "b@" + c.BounceAt
	case c.Bounce == queue.BounceOperator && s.BounceDomain == "":
		return nil, exit.Usagef("bounces of %s come back to the operator's domain: say with --bounce-domain which, as enotify run is told", in.Client)
	case c.Bounce == queue.BounceOperator:
		in.MailFrom = "b@" + s.BounceDomain
	case c.ReturnPath == "<>":
		in.MailFrom = ""
	case c.ReturnPath != "":
		in.MailFrom = c.ReturnPath
	}
	return in, nil
}

// adopt takes the settings of the live nodes for those that no flag set.
func (s *Sources) adopt(nodes []queue.Node) {
	for _, n := range nodes {
		s.PublicURL = cmp.Or(s.PublicURL, n.Settings.PublicURL)
		s.BounceDomain = cmp.Or(s.BounceDomain, n.Settings.BounceDomain)
		s.Smarthost = cmp.Or(s.Smarthost, n.Settings.Smarthost)
	}
	for _, n := range nodes { // a node on this host, whose files this user may read
		if dir := n.Settings.DKIMDir; s.Keys.Path == "" && dir != "" {
			if _, err := os.ReadDir(dir); err == nil {
				s.Keys.Path, s.adopted = dir, true
			}
		}
	}
}

// readKeys finds the keys that sign for a client: in the directory that was
// named, else as the nodes say that they sign.
func (s *Sources) readKeys(ctx context.Context, in *preflight.Input, c queue.Client) error {
	switch {
	case len(c.Selectors) == 0 && c.Domain != "":
		in.Keys = []judge.Key{} // it is known that there is none
		return nil
	case s.Keys.Path == "":
		return s.keysOfNodes(ctx, in, c)
	}
	for _, selector := range c.Selectors {
		key, err := s.Keys.Key(in.Client, selector)
		if err != nil && s.adopted { // the directory of another host may have the same name
			in.Keys = nil
			return s.keysOfNodes(ctx, in, c)
		}
		if err != nil {
			in.KeyName, in.KeyTrouble = dkim.Name(in.Client, selector), err
			return nil
		}
		in.Keys = append(in.Keys, judge.Key{Domain: key.Domain, Selector: key.Selector, Public: key.Public()})
	}
	return nil
}

// currentVerdicts is more than a client has: five identities for each address.
const currentVerdicts = 200

// keysOfNodes finds the keys that sign for a client by the guard's verdict. The
// private keys are with the nodes, so nothing can be signed here.
func (s *Sources) keysOfNodes(ctx context.Context, in *preflight.Input, c queue.Client) error {
	if len(c.Selectors) == 0 {
		return nil
	}
	in.KeysUnknown = true
	verdicts, err := s.DB.Verdicts(ctx, c.Domain, currentVerdicts)
	if err != nil {
		return err
	}
	for _, v := range verdicts {
		if v.Identity != judge.DKIM || v.SupersededAt != nil {
			continue
		}
		if v.Blocks {
			in.KeysUnknown, in.KeyName, in.KeyTrouble = false, v.Domain, errors.New(v.Explanation)
			return nil
		}
		keys := judge.ParseLines(in.Client, v.Record)
		same := slices.EqualFunc(keys, c.Selectors,
			func(k judge.Key, selector string) bool { return k.Selector == selector })
		if same { // else they were changed, and the guard has not looked since
			in.Keys, in.KeysUnknown, in.KeysRemote = keys, false, true
			return nil
		}
	}
	return nil
}

// addresses are the addresses of --egress, else those of the pools at live nodes, with
// their names.
func (s *Sources) addresses(ctx context.Context, nodes []queue.Node, domain string) ([]queue.Egress, error) {
	var egress []queue.Egress
	add := func(addr netip.Addr, helo string) {
		if !slices.ContainsFunc(egress, func(e queue.Egress) bool { return e.Addr == addr }) {
			egress = append(egress, queue.Egress{Addr: addr, HELO: cmp.Or(s.HELO, helo)})
		}
	}
	if len(s.Egress) == 0 && s.DB != nil && len(nodes) > 0 {
		pools, err := s.pools(ctx, domain)
		if err != nil {
			return nil, err
		}
		live, err := s.DB.LiveEgress(ctx, pools)
		if err != nil {
			return nil, err
		}
		for _, e := range live {
			add(e.Addr, e.HELO)
		}
		if len(live) == 0 {
			return nil, exit.Usagef("no live node has an active address of pool %s: enotify egress list; or say with --egress which addresses receivers see", strings.Join(pools, ", "))
		}
	}
	given, err := settings.Addresses("--egress", s.Egress)
	if err != nil {
		return nil, err
	}
	for _, addr := range given {
		helo := ""
		for _, n := range nodes {
			if slices.Contains(n.Egress, addr) {
				helo = n.HELO
			}
		}
		add(addr, helo)
	}
	switch {
	case len(egress) == 0:
		return nil, exit.Usagef("no node is live: say with --egress which addresses receivers see")
	case slices.ContainsFunc(egress, func(e queue.Egress) bool { return e.HELO == "" }):
		return nil, exit.Usagef("no live node sends from %s: say with --helo which name it gives at EHLO",
			egress[0].Addr)
	}
	return egress, nil
}

// pools are those of the mail that is looked at; nil are all.
func (s *Sources) pools(ctx context.Context, domain string) ([]string, error) {
	if s.Pool != "" {
		_, err := s.DB.EgressPool(ctx, s.Pool)
		return []string{s.Pool}, err
	}
	return s.DB.ClientPools(ctx, domain)
}
