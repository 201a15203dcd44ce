package engine

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"enotify/queue"
)

const (
	retrySurvey = time.Minute // for a domain whose servers did not answer

	surveyors     = 128             // look-ups at once for one batch
	maxFindings   = 500             // recorded in one transaction
	maxSurveys    = 8               // batches at once: a DNS that is silent for one must not stop the others
	patientSurvey = 5 * time.Second // what a domain gets to answer
	urgentSurvey  = time.Second     // time a domain has to answer for a batch of priority above 0
)

// surveys holds the batches whose domains are looked up just now. The loop and the look-ups
// use it.
type surveys struct {
	ctx     context.Context // of the look-ups; ends with the loop
	running sync.WaitGroup

	mu       sync.Mutex
	priority map[int64]int // of each batch
}

// begin reports whether a batch is to be surveyed now, and notes that it is: not
// while it is already, nor beside many of the same or a higher priority.
func (s *surveys) begin(b turn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	beside := 0
	for id, priority := range s.priority {
		if id == b.ID {
			return false
		}
		if priority >= b.Priority {
			beside++
		}
	}
	if beside >= maxSurveys {
		return false
	}
	s.priority[b.ID] = b.Priority
	return true
}

func (s *surveys) end(b turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.priority, b.ID)
}

// A finding is a survey on its way to the database.
type finding struct {
	domainID int32
	queue.Survey
	err error // the site is not known: the domain is its own for now
}

// survey begins to survey the batch that is next in turn, if its domains have not
// been surveyed, and beside it any batch of higher priority, which must not wait for
// the look-ups of an ordinary one.
//
// Each node surveys the domains of the groups that it holds. Findings are in the
// database at once: another node, or this one after a restart, goes on from there.
func (v *serving) survey(ctx context.Context) error {
	waiting, err := v.store.unsurveyed(ctx)
	if err != nil {
		return err
	}
	for _, b := range waiting {
		if v.Survey == nil { // nothing to look up
			fit, err := v.check(ctx, b.ID)
			if fit {
				_, err = v.store.surveyed(ctx, b.ID, true)
			}
			if err != nil {
				v.log.Warn("a batch could not be prepared; trying again", "batch", b.ID, "error", err)
			}
			continue
		}
		if !v.surveys.begin(b) {
			continue
		}
		grps := slices.Collect(maps.Keys(v.leases.held))
		v.surveys.running.Go(func() {
			news, err := v.surveyBatch(v.surveys.ctx, b, grps)
			v.surveys.end(b)
			if err != nil && !locked(err) && v.surveys.ctx.Err() == nil {
				v.log.Warn("the sites of a batch could not be surveyed; trying again", "batch", b.ID, "error", err)
			}
			if news {
				v.found.Store(true)
				v.flights.tell()
			}
		})
	}
	return nil
}

// surveyBatch looks up the domains of the batch that are this node's, in parallel,
// and reports whether something was found.
func (v *serving) surveyBatch(ctx context.Context, b turn, grps []int16) (news bool, err error) {
	if fit, err := v.check(ctx, b.ID); err != nil || !fit {
		return false, err
	}
	domains, err := v.store.unknownDomains(ctx, b.ID, grps)
	if err != nil {
		return false, err
	}
	if len(domains) > 0 {
		start := time.Now()
		unknown, err := v.lookUp(ctx, b, domains)
		if err != nil {
			return false, err
		}
		v.log.Info("surveyed", "batch", b.ID, "domains", len(domains), "unknown", unknown,
			"took", time.Since(start).Round(time.Millisecond))
	}
	for more := true; more; {
		if more, err = v.store.failNoMail(ctx, b.ID); err != nil {
			return false, err
		}
	}
	done, err := v.store.surveyed(ctx, b.ID, false)
	return done || len(domains) > 0, err
}

// lookUp looks up the domains and records the findings: in one transaction those
// that came while the last one ran.
func (v *serving) lookUp(ctx context.Context, b turn, domains []domainName) (unknown int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ask := make(chan domainName)
	found := make(chan finding, maxFindings)
	var asking sync.WaitGroup
	for range min(surveyors, len(domains)) {
		asking.Go(func() {
			for d := range ask {
				f := finding{domainID: d.ID}
				f.Survey, f.err = v.ask(ctx, b, d.Name)
				if f.err != nil {
					v.log.LogAttrs(ctx, slog.LevelDebug, "survey", slog.String("domain", d.Name),
						slog.Any("error", f.err))
				}
				found <- f
			}
		})
	}
	go func() {
		defer close(found)
		defer asking.Wait()
		defer close(ask)
		for _, d := range domains {
			select {
			case ask <- d:
			case <-ctx.Done():
				return
			}
		}
	}()
	for f := range found {
		if err != nil || ctx.Err() != nil {
			continue // until the look-ups have ended
		}
		findings := append(make([]finding, 0, maxFindings), f)
		for more := true; more && len(findings) < maxFindings; {
			select {
			case f, more = <-found:
				if more {
					findings = append(findings, f)
				}
			default:
				more = false
			}
		}
		for _, f := range findings {
			if f.err != nil {
				unknown++
			}
		}
		if err = v.store.record(ctx, findings); err != nil {
			cancel()
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	return unknown, err
}

func (v *serving) ask(ctx context.Context, b turn, domain string) (queue.Survey, error) {
	patience := patientSurvey
	if b.Priority > 0 {
		patience = urgentSurvey
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return v.Survey(ctx, domain)
}

// keptFor is how long a finding holds.
func (f *finding) keptFor() time.Duration {
	if f.err != nil {
		return retrySurvey
	}
	return f.Kept()
}
