package engine

import (
	"time"
)

// reach is how far the intents of this node have come in each domain of the
// batches of the last while, should the database forget it. It belongs to the
// loop.
type reach struct {
	of     map[laneKey]reached
	pruned time.Time
}

type reached struct {
	seq  int32 // the highest that was handed out as a first try
	made int64 // when the batch was created, see result
	at   time.Time
}

// note takes in a first try that is handed out.
func (r *reach) note(of *result) {
	if r.of == nil {
		r.of = map[laneKey]reached{}
	}
	key := laneKey{of.Batch, of.DomainID, false}
	r.of[key] = reached{max(of.Seq, r.of[key].seq), of.made, time.Now()}
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
		k.reached = append(k.reached, flight{key.batch, one.seq, 1})
		k.made = append(k.made, one.made)
	}
	return k
}
