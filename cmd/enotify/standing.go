package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"enotify/cmd/enotify/forecast"
	"enotify/queue"
	"enotify/queue/insight"
)

// forecasted is how many batches have a forecast in batch list: those that are next.
const forecasted = 20

// A standing is what batches that are shown depend on: what the nodes do, and how long the
// next batches will take. The login of an application sees none of it.
type standing struct {
	known     bool
	nodes     int
	troubles  []queue.Trouble
	turn      int64 // the batch that has the turn; 0: none
	plan      forecast.Plan
	forecasts map[int64]forecast.Forecast
}

// look reads the standing of all batches that are next, or of one.
func look(ctx context.Context, db *queue.DB, one *queue.Status) (s standing, err error) {
	login, err := db.Login(ctx)
	if err != nil || !login.Admin && !login.Sender {
		return s, err
	}
	now := time.Now()
	if one == nil {
		s.forecasts, s.plan, err = forecast.Queue(ctx, db, forecasted, now)
	} else {
		var f forecast.Forecast
		f, s.plan, err = forecast.Of(ctx, db, *one, now)
		s.forecasts = map[int64]forecast.Forecast{one.ID: f}
	}
	if errors.Is(err, queue.ErrDenied) {
		return standing{}, nil
	}
	if err != nil {
		return s, err
	}
	s.known, s.nodes = true, s.plan.Nodes
	if s.troubles, err = db.Troubles(ctx); err != nil {
		return s, err
	}
	s.turn, err = insight.Of(db).Turn(ctx)
	return s, err
}

// due reports whether the nodes have to work on a batch now.
func due(b queue.Status) bool {
	return b.FinishedAt == nil && slices.Contains([]string{"queued", "sending", "draining", "retrying"}, b.State)
}

// why says why a batch waits.
func (s standing) why(b queue.Status) string {
	said := []string{}
	if s.known && due(b) {
		for _, t := range s.troubles {
			said = append(said, t.Why+" on node "+t.Node)
		}
		if s.nodes == 0 && len(s.troubles) == 0 {
			said = append(said, forecast.NoNode)
		}
	}
	switch {
	case b.Reason != "":
		said = append(said, b.Reason)
	case len(said) > 0 || b.State != "queued":
	case b.NotBefore != nil && time.Now().Before(*b.NotBefore):
		said = append(said, "not before its time")
	case s.turn != 0 && s.turn != b.ID:
		said = append(said, fmt.Sprintf("waits for batch %d, which has the turn", s.turn))
	}
	return strings.Join(said, "; ")
}

// eta is how long it takes until everybody of a batch was tried.
func (s standing) eta(b queue.Status) string {
	f, ok := s.forecasts[b.ID]
	if !ok || !due(b) || !f.Counts(b) || s.nodes == 0 {
		return "-"
	}
	return f.Short()
}

// line is the forecast of a batch as a sentence; "" where there is none.
func (s standing) line(b queue.Status) string {
	f, ok := s.forecasts[b.ID]
	if !ok || !due(b) || !f.Counts(b) || s.nodes == 0 {
		return ""
	}
	return "everybody is tried in " + f.Line(s.plan)
}
