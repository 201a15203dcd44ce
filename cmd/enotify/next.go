package main

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// next is the command, or the flag, to go on with after an error of the queue;
// "" when the error has none.
func next(err error) string {
	p := (*queue.Problem)(nil)
	if !errors.As(err, &p) {
		return ""
	}
	switch {
	case errors.Is(p.Err, queue.ErrUnfinished):
		return "cancel them first: enotify batch list --client " + p.Name
	case errors.Is(p.Err, queue.ErrRecorded):
		return "the record of what was sent goes with them: if you mean that, add --with-batches"
	case errors.Is(p.Err, queue.ErrExists) && p.Noun == queue.NounClient:
		return "see enotify client show " + p.Name
	case errors.Is(p.Err, queue.ErrExists) && p.Noun == queue.NounSuppression:
		return "see enotify suppression list --match " + p.Name
	case !errors.Is(p.Err, queue.ErrNotFound):
		return ""
	case p.Elsewhere != nil && *p.Elsewhere == "":
		return "leave --client out"
	case p.Elsewhere != nil:
		return "add --client " + *p.Elsewhere
	}
	switch p.Noun {
	case queue.NounBatch:
		return "enotify batch list --all shows those there are"
	case queue.NounClient:
		return "register it: enotify client add " + p.Name
	case queue.NounLogin:
		return fmt.Sprintf("create it first: CREATE ROLE %s LOGIN PASSWORD '…'", pgx.Identifier{p.Name}.Sanitize())
	case queue.NounLimits:
		return "enotify destination list shows what is set"
	case queue.NounLearned:
		return "enotify destination list shows the sites something was learned of"
	case queue.NounTokenKey:
		return "enotify bounce key list shows the keys"
	}
	return ""
}
