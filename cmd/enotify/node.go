package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

func (a *app) nodeCmd() *cobra.Command {
	return noun("node", "Running sender processes", a.nodeListCmd())
}

// A liveNode is a running sender process as node list prints it.
type liveNode struct {
	ID        int32        `json:"id"`
	Name      string       `json:"name"`
	Egress    []netip.Addr `json:"egress"`
	HELO      string       `json:"helo"`
	Version   string       `json:"version"`
	Groups    int          `json:"groups"` // of recipient domains, of 64
	Turn      queue.Turn   `json:"turn"`
	StartedAt time.Time    `json:"started_at"`
	LiveUntil time.Time    `json:"live_until"`
	Heartbeat float64      `json:"heartbeat_seconds"` // since the last one

	Barred []queue.Barred `json:"barred,omitempty"` // clients that it may not send for
}

func (a *app) nodeListCmd() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the live nodes", Args: atMost(0),
		RunE: a.onQueue(func(ctx context.Context, db *queue.DB, _ []string) error {
			alive, err := db.Nodes(ctx)
			if err != nil {
				return err
			}
			nodes := make([]liveNode, len(alive))
			for i, n := range alive {
				nodes[i] = liveNode{n.ID, n.Name, n.Egress, n.HELO, n.Version, n.Groups, n.Turn, n.StartedAt,
					n.LiveUntil, n.Heartbeat.Seconds(), n.Barred}
			}
			if len(nodes) == 0 {
				a.hint("no node is running; nothing is sent until one is: enotify run")
			}
			return a.print(nodes, func(p *term.Page) { layNodes(p, nodes) })
		}),
	}
}

func layNodes(p *term.Page, nodes []liveNode) {
	if len(nodes) == 0 {
		return
	}
	var rows [][]string
	for _, n := range nodes {
		var egress []string
		for _, ip := range n.Egress {
			egress = append(egress, ip.String())
		}
		rows = append(rows, []string{n.Name, strings.Join(egress, ", "), n.HELO, n.Version, figures.Count(n.Groups),
			string(n.Turn), fmt.Sprintf("%.1f s ago", n.Heartbeat), p.Ago(n.StartedAt)})
	}
	p.Table([]string{"NODE", "EGRESS", "HELO", "VERSION", "GROUPS OF 64", "TURN", "HEARTBEAT", "SINCE"}, rows...)
	for _, n := range nodes {
		for _, b := range n.Barred {
			p.Line("")
			if b.Egress.IsValid() {
				p.Line("%s may not send for %s from %s, and leaves that to other nodes: %s", n.Name, b.Client, b.Egress,
					term.Clip(b.Reason, 300))
			} else {
				p.Line("%s cannot sign for %s, and leaves it to other nodes: %s", n.Name, b.Client,
					term.Clip(b.Reason, 300))
			}
			if b.Fix != "" {
				p.Line("  publish  %s", b.Fix)
			}
		}
	}
}

// liveEgress lists the addresses that a domain should authorise.
func (a *app) liveEgress(ctx context.Context, domain, pool string) (addrs []netip.Addr, err error) {
	err = a.withQueue(ctx, func(ctx context.Context, db *queue.DB) error {
		addrs, err = egressOf(ctx, db, domain, pool)
		return err
	})
	return addrs, err
}

// egressOf lists the addresses of a pool that mail leaves from, or will: those of live
// nodes, and those that an operator has added. With "" they are those of the pools of a
// client, and for a domain that is no client those of all pools.
func egressOf(ctx context.Context, db *queue.DB, domain, pool string) ([]netip.Addr, error) {
	if pool != "" {
		if _, err := db.EgressPool(ctx, pool); err != nil {
			return nil, err
		}
		return db.SenderAddresses(ctx, []string{pool})
	}
	pools, err := db.ClientPools(ctx, domain)
	if err != nil {
		return nil, err
	}
	return db.SenderAddresses(ctx, pools)
}

// namesOf are the names of the live nodes at EHLO.
func namesOf(ctx context.Context, db *queue.DB) ([]string, error) {
	nodes, err := db.Nodes(ctx)
	var names []string
	for _, n := range nodes {
		if name := strings.ToLower(n.HELO); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, err
}
