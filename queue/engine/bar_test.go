package engine_test

import (
	"context"
	"sync/atomic"
	"testing"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// A node that lacks a client's key sends nothing for the client and stops nothing:
// the other node sends it all. For another client both send.
func TestNodeWithoutAKeyLeavesTheClientToOthers(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.client (domain) VALUES ('city.example')`)
	var town, city atomic.Int32 // messages of the node without the key
	able := f.Server("able", queuetest.Deliver)
	lacking := f.Server("lacking", func(ctx context.Context, m queue.Message) queue.Outcome {
		if m.Batch.Client == "town.example" {
			town.Add(1)
		} else {
			city.Add(1)
		}
		return queuetest.Deliver(ctx, m)
	})
	node(f, able)
	node(f, lacking)
	await(f, `SELECT count(*) = 2 FROM (SELECT FROM enotify.lease WHERE node_id IS NOT NULL GROUP BY node_id HAVING count(*) = 32) n`)
	client := queuetest.Query[int32](f, `SELECT id FROM enotify.client WHERE domain = 'town.example'`)
	why := map[int32]string{client: "no DKIM key for town.example"}
	if _, err := f.DB.Bar(t.Context(), lacking.ID(), why); err != nil {
		t.Fatal(err)
	}
	news, err := f.DB.Bar(t.Context(), lacking.ID(), why)
	if err != nil || len(news) > 0 {
		t.Errorf("barring the node again: got %v, %v, want no news", news, err)
	}

	batch := f.Enqueue("menu", 200, domains(50)...)
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if got := town.Load(); got != 0 {
		t.Errorf("messages for the client from the node without its key: got %d, want 0", got)
	}
	await(f, `SELECT count(*) = 2 FROM (SELECT FROM enotify.lease WHERE node_id IS NOT NULL GROUP BY node_id HAVING count(*) = 32) n`)
	other := queuetest.Query[int64](f, `SELECT enotify.enqueue('o', 'info@city.example', 's', 't', $1)`,
		queuetest.Addresses(200, domains(50)))
	await(f, `SELECT state = 'done' FROM enotify.batch WHERE id = $1`, other)
	if city.Load() == 0 {
		t.Error("messages for another client from that node: got none, want its share")
	}
	nodes, err := f.DB.Nodes(t.Context())
	if err != nil || len(nodes) != 2 || len(nodes[1].Barred) != 1 || nodes[1].Barred[0].Client != "town.example" {
		t.Errorf("nodes: got %+v, %v, want the second one to say that it leaves town.example to others", nodes, err)
	}
}
