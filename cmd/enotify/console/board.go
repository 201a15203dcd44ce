package console

import (
	"context"
	"html/template"
	"maps"
	"slices"
	"sync"
	"time"
)

// A part is a section of a page that is loaded by itself.
type part struct {
	id    string
	every time.Duration // it is loaded at most so often, and takes at most a twentieth of the time
	load  func(ctx context.Context) (template.HTML, error)
}

// A loaded part has the result of its last load.
type loaded struct {
	part
	html template.HTML
	err  error
	next time.Time // not before
}

// A topic is a page that is open in a browser, or was until a minute ago.
type topic struct {
	loading sync.Mutex // one load at a time
	parts   []*loaded

	watchers map[chan struct{}]bool
	used     time.Time
}

// A board has the pages that people look at. Each part is loaded once, whoever looks.
type board struct {
	parts func(ctx context.Context, path string) ([]part, error) // of a page

	mu     sync.Mutex
	topics map[string]*topic
}

const (
	lookEvery = time.Second
	maxTopics = 200
	forget    = time.Minute // after which a page without readers is dropped
	partShare = 20          // a part takes no more than one part in so many of the time
	loadTime  = 10 * time.Second
)

// run loads the pages that are looked at until ctx ends.
func (b *board) run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, t := range b.watched(now) {
				b.refresh(ctx, t)
			}
		}
	}
}

// watched are the topics with an open stream; those forgotten are dropped.
func (b *board) watched(now time.Time) (some []*topic) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for path, t := range b.topics {
		switch {
		case len(t.watchers) > 0:
			some = append(some, t)
		case now.Sub(t.used) > forget:
			delete(b.topics, path)
		}
	}
	return some
}

// topic finds a page, or begins it.
func (b *board) topic(ctx context.Context, path string) (*topic, error) {
	b.mu.Lock()
	t := b.topics[path]
	if t != nil {
		t.used = time.Now()
	}
	b.mu.Unlock()
	if t != nil {
		return t, nil
	}
	parts, err := b.parts(ctx, path)
	if err != nil {
		return nil, err
	}
	t = &topic{watchers: map[chan struct{}]bool{}, used: time.Now()}
	for _, p := range parts {
		t.parts = append(t.parts, &loaded{part: p})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if other := b.topics[path]; other != nil {
		return other, nil
	}
	if len(b.topics) >= maxTopics {
		for _, path := range slices.Collect(maps.Keys(b.topics)) {
			if len(b.topics[path].watchers) == 0 {
				delete(b.topics, path)
				break
			}
		}
	}
	b.topics[path] = t
	return t, nil
}

// refresh loads the parts that are due, and wakes the watchers when one has changed.
func (b *board) refresh(ctx context.Context, t *topic) {
	t.loading.Lock()
	defer t.loading.Unlock()
	changed := false
	for _, p := range t.parts {
		began := time.Now()
		if began.Before(p.next) {
			continue
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTime) // others look at it too
		html, err := p.load(ctx)
		cancel()
		took := time.Since(began)
		b.mu.Lock()
		changed = changed || err == nil && html != p.html || (err == nil) != (p.err == nil)
		if err == nil {
			p.html = html // else the last one stays
		}
		p.err, p.next = err, began.Add(max(p.every, partShare*took))
		b.mu.Unlock()
	}
	if changed {
		b.mu.Lock()
		for w := range t.watchers {
			select {
			case w <- struct{}{}:
			default: // it has not taken the last one yet
			}
		}
		b.mu.Unlock()
	}
}

// A section is a part as it is shown.
type section struct {
	ID   string
	HTML template.HTML
	Away bool // it could not be loaded
}

// show returns the sections of a page as loaded last. An error is of a page that does not
// exist; a part that could not be loaded says so in its place.
func (b *board) show(t *topic) (all []section) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range t.parts {
		all = append(all, section{p.id, p.html, p.err != nil})
	}
	return all
}

// watch has a channel get a word whenever the page changed, until stop.
func (b *board) watch(t *topic) (changed chan struct{}, stop func()) {
	changed = make(chan struct{}, 1)
	b.mu.Lock()
	t.watchers[changed] = true
	b.mu.Unlock()
	return changed, func() {
		b.mu.Lock()
		delete(t.watchers, changed)
		t.used = time.Now()
		b.mu.Unlock()
	}
}
