package engine

import (
	"time"
)

// reach is how far the intents of this node have come in each domain of recent batches, in
// case the database forgets it. It belongs to the loop.
type reach struct {
	of     map[laneKey]reached
	pruned time.Time
}

type reached struct {
	low  int32 // the lowest that was handed out here as a first try
	seq  int32 // the highest
	made int64 // when the batch was created, see result
	at   time.Time
}

// note takes in first tries of a batch that are handed out in a domain.
func (r *reach) note(lane laneKey, low, high int32, made int64, now time.Time) {
	if r.of == nil {
		r.of = map[laneKey]reached{}
	}
	if old, known := r.of[lane]; known {
		low, high = min(low, old.low), max(high, old.seq)
	}
	r.of[lane] = reached{low, high, made, now}
}

// prune forgets what is older than keepPast.
func (r *reach) prune() {
	if time.Since(r.pruned) < time.Minute {
		return
	}
	r.pruned = time.Now()
	for key, one := range r.of {
		if time.Since(one.at) > keepPast {
			delete(r.of, key)
		}
	}
}

// knowledge is what a live node has reached.
func (r *reach) knowledge() (k knowledge) {
	for key, one := range r.of {
		k.reached = append(k.reached, flight{key.batch, one.low, 1}, flight{key.batch, one.seq, 1})
		k.made = append(k.made, one.made, one.made)
	}
	return k
}
