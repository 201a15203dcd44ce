package engine_test

import (
	"errors"
	"testing"
	"time"

	"enotify/queue"
	"enotify/queue/engine"
	"enotify/queue/queuetest"
)

// Only who holds the lease writes what was learned, and only over what it
// knows: a node that lost its lease, and one that has not seen what an operator
// changed, leave the row as it is.
func TestMemosAreFenced(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.domain (name, grp) VALUES ('a.example', 3)`)
	f.Exec(`UPDATE enotify.lease SET node_id = 1, until = 'infinity'`)
	keep := func(node int32, version int64, state string) int64 {
		t.Helper()
		memos, err := engine.KeepMemos(t.Context(), f.DB, node,
			[]queue.Memo{{Kind: queue.Site, Name: "big", Domain: "a.example", State: []byte(state), Version: version}})
		if err != nil {
			t.Fatal(err)
		}
		return memos[0].Version
	}
	holds := func(what string) {
		t.Helper()
		if got := queuetest.Query[string](f,
			`SELECT state::text FROM enotify.pace WHERE kind = 'site' AND name = 'big'`); got != what {
			t.Errorf("kept: got %s, want %s", got, what)
		}
	}
	if v := keep(1, 0, `{"pace": 1, "tokens": 5}`); v != 1 {
		t.Errorf("first write: got version %d, want 1", v)
	}
	if v := keep(2, 1, `{"pace": "of another node"}`); v != 1 {
		t.Errorf("write without the lease: got version %d, want 1 still", v)
	}
	f.Exec(`UPDATE enotify.lease SET until = '-infinity' WHERE grp = 3`)
	if v := keep(1, 1, `{"pace": "too late"}`); v != 1 {
		t.Errorf("write after the lease: got version %d, want 1 still", v)
	}
	holds(`{"pace": 1, "tokens": 5}`)

	f.Exec(`UPDATE enotify.lease SET until = 'infinity'`)
	if err := f.DB.ForgetLearned(t.Context(), "big"); err != nil {
		t.Fatal(err)
	}
	holds(`{"tokens": 5}`)
	if v := keep(1, 1, `{"pace": "from before that"}`); v != 1 {
		t.Errorf("write over what the operator did: got version %d, want 1 still", v)
	}
	holds(`{"tokens": 5}`)
	if v := keep(1, 2, `{"pace": 2}`); v != 3 {
		t.Errorf("write over what is known: got version %d, want 3", v)
	}
	if v := keep(1, 3, ``); v != 4 {
		t.Errorf("nothing to remember: got version %d, want 4", v)
	}
	holds(`{}`)
	var problem *queue.Problem
	if err := f.DB.ForgetLearned(t.Context(), "big"); !errors.As(err, &problem) || problem.Noun != queue.NounLearned ||
		problem.Name != "big" {
		t.Errorf("forget what is not there: got %v, want a problem of what was learned of big", err)
	}
}

func TestMemosSince(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.pace (kind, name, domain, version, learned_at, updated_at) VALUES
		('site', 'old', 'a.example', 1, now() - interval '1 hour', now() - interval '1 hour'), ('domain', 'new.example', 'new.example', 7, now(), now())`)
	all, asked, err := f.DB.Memos(t.Context(), time.Time{})
	if err != nil || len(all) != 2 || asked.IsZero() {
		t.Fatalf("all: got %+v, %v, %v", all, asked, err)
	}
	late, _, err := f.DB.Memos(t.Context(), asked.Add(-time.Minute))
	if err != nil || len(late) != 1 || late[0].Name != "new.example" || late[0].Version != 7 {
		t.Errorf("of the last minute: got %+v, %v, want the new one", late, err)
	}
	for _, m := range all {
		if m.Name == "old" && (m.Age < time.Hour || m.Age > 2*time.Hour) {
			t.Errorf("age: got %v, want 1h", m.Age)
		}
	}
}
