package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

// A town of domains: which site each belongs to, and who asked.
type directory struct {
	mu    sync.Mutex
	asked map[string]int
}

// survey says that gone.example does not exist, that dark.example cannot be
// asked, and that all others are served by big.test.
func (d *directory) survey(_ context.Context, domain string) (queue.Survey, error) {
	d.mu.Lock()
	if d.asked == nil {
		d.asked = map[string]int{}
	}
	d.asked[domain]++
	d.mu.Unlock()
	switch domain {
	case "dark.example":
		return queue.Survey{}, errors.New("no answer")
	case "gone.example":
		return queue.Survey{Site: domain, NoMail: &gone}, nil
	}
	return queue.Survey{Site: "big.test"}, nil
}

var gone = queue.Outcome{State: queue.Bounced, Class: queue.Other,
	Reply: queue.Reply{Code: 550, Enhanced: "5.1.2", Text: "the domain does not exist"}}

func domains(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("d%d.example", i)
	}
	return names
}

// assigned is an Admission that remembers what it was told of sites, and
// whether a domain was admitted before.
type assigned struct {
	queuetest.Unlimited
	mu    sync.Mutex
	sites map[string]string
	early []string
}

func (a *assigned) Assign(domain, site string, _ time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sites[domain] = site
}

func (a *assigned) Admit(domain string, want int, now time.Time) (int, queue.Wait) {
	a.mu.Lock()
	if a.sites[domain] == "" && domain != "dark.example" {
		a.early = append(a.early, domain)
	}
	a.mu.Unlock()
	return a.Unlimited.Admit(domain, want, now)
}

// Before the turn every domain is asked for once. Those of one site share its
// group, those that take no mail fail without being sent to, and one that
// cannot be asked holds up nothing.
func TestSurvey(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	names := append(domains(300), "gone.example", "dark.example")
	batch := f.Enqueue("menu", 3*len(names), names...)
	var dir directory
	sites := &assigned{sites: map[string]string{}}
	s := f.Server("n1", queuetest.Deliver)
	s.Survey, s.Admission = dir.survey, sites
	f.Serve(s)

	if got, want := f.States(batch), map[string]int{"delivered": 3 * 301, "bounced": 3}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
	f.SentOnce(3 * 301)
	for address := range f.Sent() {
		if strings.HasSuffix(address, "@gone.example") {
			t.Errorf("%s was sent to, though its domain takes no mail", address)
		}
	}
	if got, want := queuetest.Query[string](f,
		`SELECT DISTINCT concat_ws('|', class, code, reply) FROM enotify.delivery WHERE state = 'bounced'`),
		"other|550|5.1.2 the domain does not exist"; got != want {
		t.Errorf("outcome where no mail is taken: got %q, want %q", got, want)
	}
	for name, n := range dir.asked {
		if n != 1 {
			t.Errorf("%s: asked for %d times, want once", name, n)
		}
	}
	if len(dir.asked) != len(names) {
		t.Errorf("domains asked for: got %d, want %d", len(dir.asked), len(names))
	}
	if len(sites.early) > 0 {
		t.Errorf("admitted before their site was told: %d domains, as %s", len(sites.early), sites.early[0])
	}
	if got := queuetest.Query[int](f, `SELECT count(DISTINCT d.grp)::int FROM enotify.batch_domain d JOIN enotify.domain k ON k.id = d.domain_id JOIN enotify.site s ON s.id = k.site_id WHERE s.name = 'big.test'`); got != 1 {
		t.Errorf("groups of one site's domains: got %d, want 1", got)
	}
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.batch_domain d JOIN enotify.domain k ON k.id = d.domain_id WHERE k.grp <> d.grp`); got != 0 {
		t.Errorf("domains whose batch has another group: got %d, want 0", got)
	}

	second := f.Enqueue("again", 2*len(names), names...)
	f.Serve(s2(f, dir.survey))
	if got, want := f.States(second), map[string]int{"delivered": 2 * 301, "bounced": 2}; !cmp.Equal(got, want) {
		t.Errorf("states of the second batch: got %v, want %v", got, want)
	}
	if got := dir.asked["d1.example"]; got != 1 {
		t.Errorf("asked for a domain whose answer holds: got %d times, want 1", got)
	}
}

func s2(f *queuetest.Fixture, survey func(context.Context, string) (queue.Survey, error)) *engine.Server {
	s := f.Server("n2", queuetest.Deliver)
	s.Survey = survey
	return s
}

// A node that stops in the middle of a survey leaves what it knows to the next.
func TestSurveyGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	names := domains(1000)
	batch := f.Enqueue("menu", len(names), names...)
	var first, second directory
	var asked atomic.Int32
	s := f.Server("n1", queuetest.Deliver)
	s.UntilIdle = false
	s.Survey = func(ctx context.Context, domain string) (queue.Survey, error) {
		if asked.Add(1) > 500 {
			<-ctx.Done()
			return queue.Survey{}, ctx.Err()
		}
		return first.survey(ctx, domain)
	}
	f.ServeUntil(s, `SELECT count(*) >= 400 FROM enotify.domain WHERE surveyed_at IS NOT NULL`)
	known := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.domain WHERE surveyed_at IS NOT NULL`)
	if got := f.States(batch)["pending"]; got != len(names) {
		t.Errorf("pending while the survey is not done: got %d, want %d", got, len(names))
	}

	f.Serve(s2(f, second.survey))
	if got, want := len(second.asked), len(names)-known; got != want {
		t.Errorf("domains the second node asked for: got %d, want %d", got, want)
	}
	if got, want := f.States(batch), map[string]int{"delivered": len(names)}; !cmp.Equal(got, want) {
		t.Errorf("states: got %v, want %v", got, want)
	}
}

// Look-ups that hang hold up their own batch alone: an urgent one overtakes it.
func TestUrgentBatchDoesNotWaitForASurvey(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	slow := f.Enqueue("menu", 500, domains(500)...)
	var dir directory
	hang := make(chan struct{})
	s := f.Server("n1", queuetest.Deliver)
	s.UntilIdle = false
	s.Survey = func(ctx context.Context, domain string) (queue.Survey, error) {
		if strings.HasPrefix(domain, "d") {
			select {
			case <-hang:
			case <-ctx.Done():
				return queue.Survey{}, ctx.Err()
			}
		}
		return dir.survey(ctx, domain)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var node sync.WaitGroup
	node.Go(func() {
		if err := f.Run(ctx, s, "pass"); err != nil {
			t.Error(err)
		}
	})
	defer node.Wait()
	defer cancel()
	urgent := queuetest.Query[int64](f, `SELECT enotify.enqueue('flood', 'info@town.example', 'Flood', 'Leave.', ARRAY['a@d1.example', 'b@near.example'], priority => 10)`)
	f.Until(func() {}, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, urgent)
	if got := f.States(slow)["pending"]; got != 500 {
		t.Errorf("pending of the batch whose survey hangs: got %d, want 500", got)
	}
	close(hang)
	f.Until(func() {}, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, slow)
}

// Two nodes ask for each domain once between them, and one node alone sends to
// the site that they are of.
func TestSiteIsServedByOneNode(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	var dir directory
	var counts [2]atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	var nodes sync.WaitGroup
	for i := range 2 {
		s := f.Server([]string{"n1", "n2"}[i], func(ctx context.Context, m queue.Message) queue.Outcome {
			counts[i].Add(1)
			return queuetest.Deliver(ctx, m)
		})
		s.UntilIdle, s.Survey = false, dir.survey
		nodes.Go(func() {
			if err := f.Run(ctx, s, "pass"); err != nil {
				t.Error(err)
			}
		})
	}
	f.Until(func() {}, `SELECT count(*) = 2 FROM (SELECT FROM enotify.lease WHERE node_id IS NOT NULL GROUP BY node_id HAVING count(*) = 32) n`)
	batch := f.Enqueue("menu", 2000, domains(400)...)
	f.Until(cancel, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	nodes.Wait()
	if a, b := counts[0].Load(), counts[1].Load(); min(a, b) != 0 || a+b != 2000 {
		t.Errorf("messages to one site by node: got %d and %d, want 2000 by one of them", a, b)
	}
	for name, n := range dir.asked {
		if n != 1 {
			t.Errorf("%s: asked for %d times, want once", name, n)
		}
	}
}

// A domain with messages under way stays with the node that sends them, though
// its site is found to be another; it moves once they are recorded.
func TestDomainMovesOnlyWhenNothingIsUnderWay(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	first := f.Enqueue("menu", 10, "d1.example")
	begun, hold := make(chan struct{}, 100), make(chan struct{})
	var known atomic.Bool
	s := f.Server("n1", func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Batch.ID == first {
			begun <- struct{}{}
			<-hold
		}
		return queuetest.Deliver(ctx, m)
	})
	s.UntilIdle = false
	s.Survey = func(context.Context, string) (queue.Survey, error) {
		if !known.Load() {
			return queue.Survey{}, errors.New("no answer")
		}
		return queue.Survey{Site: "big.test"}, nil
	}
	ctx, cancel := context.WithCancel(t.Context())
	var node sync.WaitGroup
	node.Go(func() {
		if err := f.Run(ctx, s, "pass"); err != nil {
			t.Error(err)
		}
	})
	defer node.Wait()
	defer cancel()
	for range 10 {
		<-begun
	}
	before := queuetest.Query[int16](f, `SELECT grp FROM enotify.domain`)
	known.Store(true)
	f.Exec(`UPDATE enotify.domain SET surveyed_until = '-infinity', surveyed_at = '-infinity'`)
	second := f.Enqueue("again", 10, "d1.example")
	f.Until(func() {}, `SELECT surveyed_at IS NOT NULL FROM enotify.batch WHERE id = $1`, second)
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.batch_domain WHERE grp = $1`,
		before); got != 2 {
		t.Errorf("parts in the group of the node that sends: got %d, want 2", got)
	}
	close(hold)
	f.Until(func() {}, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, second)
	if got, want := queuetest.Query[int16](f, `SELECT grp FROM enotify.domain`), queuetest.Query[int16](f,
		`SELECT grp FROM enotify.site`); got != want {
		t.Errorf("group after all was recorded: got %d, want its site's, %d", got, want)
	}
	queuetest.Copies(t, f.Sent(), 10, 2) // one per batch
}

// A client with many batches whose domains no DNS answers for keeps no other client
// waiting for its survey.
func TestSilentDNSOfOneClientDelaysNoOther(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	for i := range 30 {
		f.Enqueue(fmt.Sprintf("silent%d", i), 1, fmt.Sprintf("silent%d.example", i))
	}
	other := queuetest.Query[int64](f, `SELECT enotify.enqueue('o', 'info@city.example', 's', 't', '{x@near.example}')`)
	s := f.Server("n1", queuetest.Deliver)
	s.Survey = func(ctx context.Context, domain string) (queue.Survey, error) {
		if domain != "near.example" {
			<-ctx.Done()
			return queue.Survey{}, ctx.Err()
		}
		return queue.Survey{Site: domain, TTL: time.Hour}, nil
	}
	f.ServeUntil(s, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, other)
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.batch WHERE surveyed_at IS NOT NULL AND id <> $1`, other); got > 3 {
		t.Errorf("batches of the first client surveyed meanwhile: got %d, want hardly any", got)
	}
}
