package node

import (
	"context"
	"log/slog"
	"time"

	"enotify/queue"
)

// handler delivers messages, counts how that ended, and logs each one that the queue hands
// out. It is one function: each of a thousand messages has a stack of its own.
func (p *parts) handler() queue.Handler {
	log, mail, metrics := p.Attempts.With("node", p.Name), p.mail, p.monitor.metrics
	logs := log.Enabled(context.Background(), queue.LevelAttempt)
	return func(ctx context.Context, m queue.Message) queue.Outcome {
		if logs {
			logPicked(ctx, log, &m)
		}
		start := time.Now()
		o := mail.Deliver(ctx, m)
		metrics.attempt(m.Batch, &o, time.Since(start))
		return o
	}
}

func logPicked(ctx context.Context, log *slog.Logger, m *queue.Message) {
	log.LogAttrs(ctx, queue.LevelAttempt, "picked", slog.Int64("batch", m.Batch.ID),
		slog.String("message", queue.MessageName(m.Batch.ID, m.Seq)),
		slog.Int("attempt", m.Attempt), slog.String("client", m.Batch.Client), slog.String("domain", m.Domain))
}

// recorded counts a transaction that recorded outcomes, and logs each of them.
func (p *parts) recorded(results []*queue.Result, took time.Duration) {
	p.monitor.flush(len(results), took)
	ctx, log := context.Background(), p.Attempts.With("node", p.Name)
	if !log.Enabled(ctx, queue.LevelAttempt) {
		return
	}
	for _, r := range results {
		attrs := []slog.Attr{
			slog.Int64("batch", r.Batch), slog.String("message", queue.MessageName(r.Batch, r.Seq)),
			slog.Int("try", r.Try),
			slog.String("state", string(r.State)), slog.String("class", string(r.Class)),
		}
		if r.State == queue.Deferred {
			attrs = append(attrs, slog.Time("next_try", r.At.Add(r.Wait)))
		}
		log.LogAttrs(ctx, queue.LevelAttempt, "recorded", attrs...)
	}
}
