package demo

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
	"enotify/queue/insight"
)

// A snapshot is the progress of everything at one moment.
type snapshot struct {
	batches []queue.Status // the first first
	hosts   []hostProgress // those that any batch was for
	over    bool           // nothing more can be delivered soon
}

// A hostProgress is the progress at one receiver.
type hostProgress struct {
	host            *mailHost
	total           int // recipients of the batches that have begun
	tried, deferred int
	accepted, open  int // messages and connections, by the receiver's own count
}

// lookEvery is the time between two looks.
const lookEvery = 200 * time.Millisecond

// watch shows what happens until nothing more can be delivered soon, or ctx ends.
func (d *demo) watch(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		over, err := d.step(ctx)
		if over || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (d *demo) step(ctx context.Context) (over bool, err error) {
	now, err := d.look(ctx)
	if err != nil {
		return false, err
	}
	if err := d.tell(ctx, now); err != nil {
		return false, err
	}
	d.board.draw(now)
	more, err := d.interject(ctx, now.batches[0])
	return now.over && !more, err
}

// look reads how things stand.
func (d *demo) look(ctx context.Context) (now snapshot, err error) {
	if now.batches, err = d.db.Batches(ctx, queue.Filter{}); err != nil {
		return now, err
	}
	slices.SortFunc(now.batches, func(a, b queue.Status) int { return cmp.Compare(a.ID, b.ID) })
	if now.hosts, err = d.lookAtHosts(ctx); err != nil {
		return now, err
	}
	now.over = true
	for _, b := range now.batches {
		over, err := d.over(ctx, b)
		if err != nil {
			return now, err
		}
		now.over = now.over && over
	}
	return now, nil
}

// over reports whether nothing more will be delivered of a batch while we wait:
// it is at its end, or the only ones left are at receivers that are offline.
func (d *demo) over(ctx context.Context, b queue.Status) (bool, error) {
	if b.State != "retrying" {
		return b.State == "blocked" || b.State == "done", nil
	}
	failures, err := insight.Of(d.db).Failures(ctx, b.ID, failuresSeen)
	offline := 0
	for _, f := range failures {
		if f.State == string(queue.Deferred) && f.Class == string(queue.Offline) {
			offline += f.N
		}
	}
	return b.Sending == 0 && offline == b.Deferred, err
}

// failuresSeen is how many kinds of failures of a batch are looked at.
const failuresSeen = 20

const progressSQL = `
SELECT k.name, sum(d.last_seq - d.first_seq + 1), sum(d.intent_seq - d.first_seq + 1), coalesce(sum(t.n), 0)
FROM enotify.batch_domain d
JOIN enotify.domain k ON k.id = d.domain_id
JOIN enotify.batch b ON b.id = d.batch_id AND b.started_at IS NOT NULL
LEFT JOIN (SELECT batch_id, domain_id, count(*) AS n FROM enotify.retry GROUP BY 1, 2) t USING (batch_id, domain_id)
GROUP BY k.name`

// lookAtHosts sums recipient domains up by the receiver that serves them.
func (d *demo) lookAtHosts(ctx context.Context) (hosts []hostProgress, err error) {
	rows, err := d.operator.Query(ctx, progressSQL)
	if err != nil {
		return nil, err
	}
	sums := make(map[*mailHost]hostProgress)
	var domain string
	var total, tried, deferred int
	if _, err := pgx.ForEachRow(rows, []any{&domain, &total, &tried, &deferred}, func() error {
		h := d.internet.host(domain)
		s := sums[h]
		sums[h] = hostProgress{host: h, total: s.total + total, tried: s.tried + tried, deferred: s.deferred + deferred}
		return nil
	}); err != nil {
		return nil, err
	}
	for _, h := range d.internet.hosts {
		if s, ok := sums[h]; ok {
			if h.server != nil {
				s.accepted, s.open = h.server.Delivered(), h.server.Open()
			}
			hosts = append(hosts, s)
		}
	}
	return hosts, nil
}

// tell says in words which batches have changed their state since the last look.
func (d *demo) tell(ctx context.Context, now snapshot) error {
	type change struct {
		insight.Change
		batch queue.Status
	}
	var changes []change
	for _, b := range now.batches {
		history, err := insight.Of(d.db).History(ctx, b.ID)
		if err != nil {
			return err
		}
		for _, c := range history[d.told[b.ID]:] {
			changes = append(changes, change{c, b})
		}
		d.told[b.ID] = len(history)
	}
	slices.SortStableFunc(changes, func(a, b change) int { return a.At.Compare(b.At) })
	for _, c := range changes {
		if text := sayings[c.From+" "+c.To]; text != "" {
			d.screen.Say("%s %s", c.batch.IdemKey, text)
		}
		if c.To == "blocked" {
			if err := d.showVerdict(ctx, c.batch.Client); err != nil {
				return err
			}
		}
	}
	return nil
}

// sayings tell of a batch that went from one state to another.
var sayings = map[string]string{
	"queued sending":   "has the turn",
	"sending queued":   "gives way to a batch of higher priority",
	"sending retrying": "gives the turn back: everyone was tried, only retries are left",
	"sending done":     "is done",
	"retrying done":    "is done",
	"queued blocked":   "is blocked before anything of it is sent",
}
