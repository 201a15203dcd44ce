package queue

import "context"

const (
	// The guard looks at a client again when what bars a node has changed; where it is
	// judging the client just now, it looks again soon anyway.
	barSQL = `
WITH w AS (
	SELECT * FROM unnest($2::int[], $3::text[]) w (client_id, reason)
		WHERE EXISTS (SELECT FROM enotify.client c WHERE c.id = w.client_id)
), gone AS (
	DELETE FROM enotify.node_bar b WHERE b.node_id = $1 AND b.client_id <> ALL ($2) RETURNING b.client_id
), news AS (
	INSERT INTO enotify.node_bar AS b (node_id, client_id, reason) SELECT n.id, w.client_id, w.reason FROM w
		JOIN enotify.node n ON n.id = $1
	ON CONFLICT (node_id, client_id) DO UPDATE SET reason = excluded.reason WHERE b.reason <> excluded.reason
	RETURNING b.client_id
), old AS (
	SELECT v.id FROM enotify.verdict v
	WHERE v.client_id IN (SELECT client_id FROM gone UNION SELECT client_id FROM news) AND v.superseded_at IS NULL
		AND v.valid_until > now()
	ORDER BY v.id FOR NO KEY UPDATE SKIP LOCKED
), again AS (
	UPDATE enotify.verdict v SET valid_until = now() FROM old WHERE v.id = old.id
)
SELECT client_id FROM news ORDER BY client_id`
	barOneSQL = `
INSERT INTO enotify.node_bar AS b (node_id, client_id, reason) SELECT n.id, $2, $3 FROM enotify.node n WHERE n.id = $1
ON CONFLICT (node_id, client_id) DO UPDATE SET reason = excluded.reason WHERE b.reason <> excluded.reason`
	othersCanSQL = `SELECT enotify.others_can($1, $2)`
)

// Bar notes the clients that a node cannot send for, with a reason by client number, which
// leaves them to the other nodes. It returns the clients that were not noted yet, or for
// another reason.
func (db *DB) Bar(ctx context.Context, node int32, why map[int32]string) (news []int32, err error) {
	clients, reasons := []int32{}, []string{}
	for id, reason := range why {
		clients, reasons = append(clients, id), append(reasons, Text(reason))
	}
	rows, err := Collect[struct{ ID int32 }](ctx, db, barSQL, node, clients, reasons)
	for _, r := range rows {
		news = append(news, r.ID)
	}
	return news, err
}

const signersSQL = `SELECT id, domain, dkim_selectors FROM enotify.client WHERE dkim_selectors <> '{}' ORDER BY id`

// A Signer is a client whose mail is signed.
type Signer struct {
	ID        int32
	Client    string
	Selectors []string
}

// Signers lists the clients whose mail is signed.
func (db *DB) Signers(ctx context.Context) ([]Signer, error) {
	return Collect[Signer](ctx, db, signersSQL)
}
