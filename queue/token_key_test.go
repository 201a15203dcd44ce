package queue_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// Nodes that start at once agree on the first key.
func TestTokenKeys(t *testing.T) {
	t.Parallel()
	db := queuetest.Open(t, queuetest.New(t))
	found := make([][]queue.TokenKey, 4)
	var all sync.WaitGroup
	for i := range found {
		all.Go(func() {
			var err error
			if found[i], err = db.TokenKeys(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, keys := range found {
		if len(keys) != 1 || len(keys[0].Secret) != 32 || cmp.Diff(found[0], keys) != "" {
			t.Fatalf("nodes found the keys %v; want the same one of 32 octets", found)
		}
	}
	id, err := db.RotateTokenKey(t.Context())
	if err != nil || id == found[0][0].ID {
		t.Fatalf("rotate: got key %s, %v, want another than %s", id, err, found[0][0].ID)
	}
	keys, err := db.TokenKeys(t.Context())
	if err != nil || len(keys) != 2 || cmp.Diff(keys[1], found[0][0]) != "" {
		t.Errorf("after a rotation: %v, %v; want a new key before the old one", keys, err)
	}
}

// Who steers makes and retires keys, and sees no secret. The key that signs stays.
func TestRetireTokenKey(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	first, err := f.DB.TokenKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	login := queuetest.Login(t, f.URL, "enotify_admin")
	queuetest.Refused(t, queuetest.Connect(t, login), `SELECT secret FROM enotify.token_key`, "permission denied")
	admin := queuetest.Open(t, login)
	if _, err := admin.RetireTokenKey(t.Context(), first[0].ID); err == nil ||
		!strings.Contains(err.Error(), "enotify bounce key rotate") {
		t.Errorf("retire the key that signs: got %v, want it refused with what to do", err)
	}
	if _, err := admin.RetireTokenKey(t.Context(), "77"); err == nil ||
		!strings.Contains(err.Error(), "enotify bounce key list") {
		t.Errorf("retire a key that is not there: got %v, want it refused with what to do", err)
	}
	second, err := admin.RotateTokenKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	since, err := admin.RetireTokenKey(t.Context(), first[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := admin.RetireTokenKey(t.Context(), first[0].ID); err != nil || !again.Equal(since) {
		t.Errorf("retire it again: got %v, %v, want %v as before", again, err, since)
	}
	if _, err := admin.RetireTokenKey(t.Context(), second); err == nil {
		t.Error("retire the last one: done, want it refused")
	}
	keys, err := f.DB.TokenKeys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].ID != second {
		t.Errorf("in use: got %d keys, %v, want %s alone", len(keys), err, second)
	}
	states, err := admin.TokenKeyStates(t.Context())
	if err != nil || len(states) != 2 || states[0].ID != second || states[0].SignedTill != nil ||
		states[1].RetiredAt == nil || !states[1].SignedTill.Equal(states[0].Since) {
		t.Errorf("states: got %+v, %v, want the new one, which signs, and the old one, which ended when that began",
			states, err)
	}
}
