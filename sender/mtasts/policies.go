package mtasts

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
)

// A Kept policy is one that was fetched, with what is needed to go on with it.
type Kept struct {
	Domain    string
	ID        string // of the DNS record under which it was fetched
	Policy    Policy
	FetchedAt time.Time
}

// Until is when the policy ends, unless it is fetched again.
func (k Kept) Until() time.Time { return k.FetchedAt.Add(k.Policy.MaxAge) }

// A Store keeps policies for all nodes and across restarts.
type Store interface {
	// Kept lists all policies.
	Kept(ctx context.Context) ([]Kept, error)
	// Keep replaces what is kept for a domain, unless that is newer.
	Keep(ctx context.Context, k Kept) error
}

// Policies knows which policy a domain has now. Its fields must not change after
// the first question. It is safe for concurrent use.
type Policies struct {
	Fetcher
	Store Store        // nil: policies end with the process
	Log   *slog.Logger // nil is none

	// Patience is how long a caller waits at most for a policy not known yet;
	// 0 is 3 s. Then mail goes as if there were none.
	Patience time.Duration

	flight  singleflight.Group
	start   sync.Once
	fetches chan struct{} // of those under way
	ahead   atomic.Int32  // records that are being asked for ahead
	mu      sync.Mutex
	domains map[string]state
	loaded  time.Time // when the store was read
}

// A state is what is known of a domain.
type state struct {
	kept  Kept      // Mode "": none
	err   error     // why the latest fetch failed
	again time.Time // when to look again
}

// How long what is known of a domain is believed without a look at its DNS record,
// whose TTL may say less than the first or more than the last.
const (
	leastPause = time.Minute
	mostPause  = time.Hour
	failPause  = 5 * time.Minute // after a policy could not be fetched (RFC 8461 §3.3)

	reloadEvery = 5 * time.Minute // what other nodes put into the store
	maxDomains  = 200_000         // whose state is remembered
	maxFetches  = 256             // at once: a policy host may take a connection and say nothing
)

// Of is the policy that holds for a domain; its Mode is "" when there is none. The
// error, a *FetchError, says why a policy that the domain announces could not be
// had; a policy fetched before holds on meanwhile. A lookup that lasts longer than
// Patience goes on without the caller.
func (p *Policies) Of(ctx context.Context, domain string) (Kept, error) {
	if s, ok := p.known(domain, time.Now()); ok {
		return s.holds(time.Now())
	}
	done := p.flight.DoChan(domain, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*fetchTimeout)
		defer cancel()
		p.look(ctx, domain)
		return nil, nil
	})
	patience := p.Patience
	if patience == 0 {
		patience = 3 * time.Second
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.domains[domain].holds(time.Now())
}

func (s state) holds(now time.Time) (Kept, error) {
	if now.After(s.kept.Until()) {
		return Kept{}, s.err
	}
	return s.kept, s.err
}

func (p *Policies) known(domain string, now time.Time) (state, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, ok := p.domains[domain]
	return s, ok && now.Before(s.again)
}

// look finds the policy of a domain out, and remembers it.
func (p *Policies) look(ctx context.Context, domain string) {
	p.reload(ctx, time.Now())
	p.mu.Lock()
	s := p.domains[domain]
	p.mu.Unlock()
	answer, err := p.Resolver.TXT(ctx, record(domain))
	now := time.Now()
	pause := min(max(answer.TTL, leastPause), mostPause)
	id := ""
	if err == nil {
		id = recordID(answer.Records)
	}
	s.err = nil
	if id != "" && (id != s.kept.ID || now.After(s.kept.FetchedAt.Add(min(s.kept.Policy.MaxAge/2, 24*time.Hour)))) {
		policy, err := p.fetchInTurn(ctx, domain)
		now = time.Now()
		if err != nil {
			s.err, pause = err, failPause
			p.log(ctx, slog.LevelDebug, "an MTA-STS policy could not be fetched", domain, err)
		} else {
			s.kept = Kept{Domain: domain, ID: id, Policy: policy, FetchedAt: now}
			p.keep(ctx, s.kept)
		}
	}
	s.again = now.Add(pause)
	p.put(domain, s, now)
}

// fetchInTurn is fetch, of so many at once. Its error is a *FetchError.
func (p *Policies) fetchInTurn(ctx context.Context, domain string) (Policy, error) {
	p.start.Do(func() { p.fetches = make(chan struct{}, maxFetches) })
	select {
	case p.fetches <- struct{}{}:
	case <-ctx.Done():
		return Policy{}, &FetchError{domain, FetchFailed,
			errors.New("too many policy hosts that do not answer are being asked")}
	}
	defer func() { <-p.fetches }()
	return p.fetch(ctx, domain)
}

// Load reads the store. Until that was done, policies of before are not known.
func (p *Policies) Load(ctx context.Context) error {
	if p.Store == nil {
		return nil
	}
	now := time.Now()
	all, err := p.Store.Kept(ctx)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range all {
		if s := p.set()[k.Domain]; k.FetchedAt.After(s.kept.FetchedAt) {
			s.kept = k
			p.domains[k.Domain] = s
		}
	}
	p.loaded = now
	return nil
}

// reload reads what other nodes have put into the store, when that was not done
// lately.
func (p *Policies) reload(ctx context.Context, now time.Time) {
	_, _, _ = p.flight.Do("", func() (any, error) { // "" is no domain
		p.mu.Lock()
		fresh := now.Before(p.loaded.Add(reloadEvery))
		p.mu.Unlock()
		if fresh {
			return nil, nil
		}
		if err := p.Load(ctx); err != nil {
			p.log(ctx, slog.LevelWarn, "MTA-STS policies could not be read from the database; those known hold", "",
				err)
		}
		return nil, nil
	})
}

func (p *Policies) keep(ctx context.Context, k Kept) {
	if p.Store == nil {
		return
	}
	if err := p.Store.Keep(ctx, k); err != nil {
		p.log(ctx, slog.LevelWarn, "an MTA-STS policy could not be kept in the database; it ends with this process",
			k.Domain, err)
	}
}

// put remembers a state. A full memory forgets domains without a policy.
func (p *Policies) put(domain string, s state, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.set()) >= maxDomains {
		n := 0
		for d, old := range p.domains {
			if now.After(old.kept.Until()) {
				delete(p.domains, d)
			}
			if n++; n == 100 {
				break
			}
		}
	}
	p.domains[domain] = s
}

func (p *Policies) set() map[string]state {
	if p.domains == nil {
		p.domains = map[string]state{}
	}
	return p.domains
}

func (p *Policies) log(ctx context.Context, level slog.Level, text, domain string, err error) {
	if p.Log != nil && !errors.Is(err, context.Canceled) {
		p.Log.LogAttrs(ctx, level, text, slog.String("domain", domain), slog.Any("error", err))
	}
}
