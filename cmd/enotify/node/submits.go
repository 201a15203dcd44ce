package node

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"enotify/cmd/enotify/submit"
	"enotify/queue"
)

// submits take batches over HTTP, where --submit says.
type submits struct {
	door     *submit.Door
	listener *submit.Listener
}

// submits listens where the node is told to; nil when it is not.
func (c Config) submits(ctx context.Context, log *slog.Logger) (*submits, error) {
	if c.Submit == "" {
		return nil, nil
	}
	listener, err := submit.Listen(c.Submit, c.SubmitCert, c.SubmitKey)
	if err != nil {
		return nil, err
	}
	// Connections of its own: what applications send never takes those of the engine.
	db, err := queue.OpenAs(ctx, c.DatabaseURL, submit.Connections, queue.As{Node: c.Name})
	if err == nil {
		if err = mayAct(ctx, db); err != nil {
			db.Close()
		}
	}
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	return &submits{door: &submit.Door{DB: db, Dir: c.StateDir, Log: log}, listener: listener}, nil
}

func mayAct(ctx context.Context, db *queue.DB) error {
	may, err := db.MayAct(ctx)
	if err == nil && !may {
		err = fmt.Errorf("--submit: this login may not enqueue for applications: GRANT enotify_app TO %s",
			pgx.Identifier{db.User()}.Sanitize())
	}
	return err
}

func (s *submits) run(ctx context.Context) error {
	if s == nil {
		return nil
	}
	defer s.door.DB.Close()
	if err := s.door.Serve(ctx, s.listener); err != nil {
		return fmt.Errorf("--submit: %w", err)
	}
	return nil
}

// close gives the address back when the node does not run.
func (s *submits) close() {
	if s == nil {
		return
	}
	_ = s.listener.Close()
	s.door.DB.Close()
}
