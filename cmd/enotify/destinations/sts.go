package destinations

import (
	"context"
	"log/slog"
	"strings"

	"enotify/queue"
	"enotify/sender"
	"enotify/sender/mtasts"
)

// A Store keeps MTA-STS policies for all nodes.
type Store struct {
	DB *queue.DB
}

// Kept lists the policies that hold. One that cannot be read, which a newer
// enotify may have written, is left out: it will be fetched.
func (s Store) Kept(ctx context.Context) ([]mtasts.Kept, error) {
	rows, err := s.DB.MTASTS(ctx)
	if err != nil {
		return nil, err
	}
	var all []mtasts.Kept
	for _, row := range rows {
		if p, err := mtasts.ParsePolicy(row.Policy); err == nil {
			all = append(all, mtasts.Kept{Domain: row.Domain, ID: row.ID, Policy: p, FetchedAt: row.FetchedAt})
		}
	}
	return all, nil
}

// Keep replaces the policy that is kept for a domain.
func (s Store) Keep(ctx context.Context, k mtasts.Kept) error {
	return s.DB.KeepMTASTS(ctx, queue.MTASTS{
		Domain: k.Domain, ID: k.ID, Policy: strings.Join(k.Policy.Text(), "\n"), FetchedAt: k.FetchedAt,
		Until: k.Until(),
	})
}

// Policies finds the MTA-STS policies for a sender, at addresses that it may dial.
func Policies(mail *sender.Sender, store mtasts.Store, log *slog.Logger) *mtasts.Policies {
	return &mtasts.Policies{Fetcher: mtasts.Fetcher{Resolver: mail.Resolver, Barred: mail.Barred,
		RootCAs: mail.RootCAs}, Store: store, Log: log}
}

// A ReadOnly store is for programs that look and change nothing.
type ReadOnly struct{ Store }

// Keep keeps nothing.
func (ReadOnly) Keep(context.Context, mtasts.Kept) error { return nil }
