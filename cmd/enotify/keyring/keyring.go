// Package keyring holds the keys with which the nodes of an installation sign
// return paths and unsubscribe addresses.
package keyring

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"enotify/queue"
	"enotify/sender/token"
)

// A Keyring opens what the nodes of the installation have signed. Another node
// may have made a key since the last look: one that is unknown is looked up, at
// most every few seconds, so that strangers cannot keep the database busy.
type Keyring struct {
	DB *queue.DB

	mu     sync.Mutex
	keys   token.Keys
	loaded time.Time
}

// insufficientPrivilege is the SQLSTATE of a login that lacks a privilege.
const insufficientPrivilege = "42501"

const keysEvery = 5 * time.Second

// ErrNotAllowed is why a login that is no member of enotify_sender gets no keys.
var ErrNotAllowed = errors.New("this login may not read the keys of return paths")

// Load reads the keys; the first of them signs.
func (k *Keyring) Load(ctx context.Context) (token.Keys, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.reload(ctx)
	return k.keys, err
}

func (k *Keyring) reload(ctx context.Context) error {
	found, err := k.DB.TokenKeys(ctx)
	if no := (*pgconn.PgError)(nil); errors.As(err, &no) && no.Code == insufficientPrivilege {
		return fmt.Errorf("%w: %w", ErrNotAllowed, err)
	}
	if err != nil {
		return fmt.Errorf("keys of return paths: %w", err)
	}
	k.keys = nil
	for _, key := range found {
		k.keys = append(k.keys, token.Key{ID: key.ID, Secret: key.Secret})
	}
	k.loaded = time.Now()
	return nil
}

// Open verifies a token and returns the batch and recipient in it.
func (k *Keyring) Open(ctx context.Context, p token.Purpose, text string) (token.Subject, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.keys.Open(p, text)
	if errors.Is(err, token.ErrUnknownKey) && time.Since(k.loaded) > keysEvery {
		if err := k.reload(ctx); err != nil {
			return s, err
		}
		s, err = k.keys.Open(p, text)
	}
	return s, err
}
