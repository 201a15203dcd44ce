package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/figures"
	"enotify/queue"
)

func (a *app) healthCmd() *cobra.Command {
	var listen, name string
	var patience time.Duration
	cmd := &cobra.Command{
		Use: "health", Short: "Say whether a node is alive, for scripts and containers", Args: atMost(0),
		Long: `Says in one line whether a node is alive. With --listen it asks the node that
listens there, which answers while its database does. Without, it asks the
database for the node called --node, or for any node.

Exit codes: 0 alive; 1 not.`,
		Example: "  enotify health\n  enotify health --node n1\n  enotify health --listen 127.0.0.1:9025",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if listen == "" && a.databaseURL == "" {
				return exit.Usagef("health asks a database or a node: set DATABASE_URL, or give the node's --listen ADDR")
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), patience)
			defer cancel()
			var alive string
			var err error
			if listen != "" {
				alive, err = askNode(ctx, listen)
			} else {
				alive, err = a.askDatabase(ctx, name)
			}
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("no answer within %s", figures.Span(patience))
			}
			if err != nil {
				return err
			}
			return a.say("%s", alive)
		},
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", "", "ask the node that listens at `ADDR` (enotify run --listen)")
	f.StringVar(&name, "node", "", "`NAME` of the node (enotify run --node); default: any")
	f.DurationVar(&patience, "timeout", 5*time.Second, "`TIME` to wait for an answer")
	return cmd
}

// askNode asks /healthz of a node. An address without a host is this one.
func askNode(ctx context.Context, at string) (alive string, err error) {
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		return "", exit.Usagef("--listen %s: want HOST:PORT", at)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	at = net.JoinHostPort(host, port)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/healthz", nil)
	if err != nil {
		return "", exit.Usagef("--listen %s: want HOST:PORT", at)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		if op := (*net.OpError)(nil); errors.As(err, &op) {
			err = op.Err
		}
		return "", fmt.Errorf("no node answers at %s: %w; start it: enotify run --listen %s", at, err, at)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 200))
	if err != nil {
		return "", fmt.Errorf("the node at %s broke off: %w", at, err)
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the node at %s runs and cannot work: %s", at, strings.TrimSpace(string(text)))
	}
	return "the node at " + at + " is alive", nil
}

// askDatabase looks for a node in the database.
func (a *app) askDatabase(ctx context.Context, name string) (alive string, err error) {
	err = a.withQueue(ctx, func(ctx context.Context, db *queue.DB) error {
		nodes, err := db.Nodes(ctx)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if name == "" || n.Name == name {
				alive = fmt.Sprintf("node %s is alive: heard %.1f s ago, %d of 64 groups", n.Name,
					n.Heartbeat.Seconds(), n.Groups)
				return nil
			}
		}
		silent, err := db.SilentNodes(ctx)
		if err != nil {
			return err
		}
		for _, s := range silent {
			if name == "" || s.Name == name {
				return fmt.Errorf("node %s is not alive: it was last heard %s ago; start it again with its --state-dir",
					s.Name, figures.Span(time.Since(s.LastHeard)))
			}
		}
		if name != "" {
			return fmt.Errorf("no node called %s is alive; start it: enotify run --node %s", name, name)
		}
		return errors.New("no node is alive; start one: enotify run")
	})
	return alive, err
}
