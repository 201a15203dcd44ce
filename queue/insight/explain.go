package insight

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"enotify/queue"
)

// An Explanation is what is known of an address: why it is suppressed, or is
// not, and what became of the messages to it.
type Explanation struct {
	Address      string          `json:"address"` // as suppressions have it
	Suppressions []SuppressedBy  `json:"suppressions"`
	Full         *CountedReplies `json:"full_mailbox"` // nil: it took the last message, or was never full
	// the same, where a site called it unknown that also says so of others
	Unknown  *CountedReplies  `json:"no_such_user"`
	Messages []AddressMessage `json:"messages"` // the latest first
	More     bool             `json:"more"`     // there are older ones
}

// SuppressedBy is a suppression, and where it comes from.
type SuppressedBy struct {
	queue.Suppression
	Seq   *int32 `json:"seq"`   // of BatchID
	Ended bool   `json:"ended"` // it holds no more
	Kept  bool   `json:"kept"`  // that recipient is there still; else its batch was pruned, or it came from elsewhere
}

// CountedReplies counts replies since the address last took a message.
type CountedReplies struct {
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
	Replies int       `json:"replies"`
	Limit   int       `json:"limit"` // suppressed after so many
}

// An AddressMessage is the state of one message to an address.
type AddressMessage struct {
	BatchID   int64        `json:"batch"`
	Seq       int32        `json:"seq"`
	Client    string       `json:"client"`
	Subject   string       `json:"subject"`
	CreatedAt time.Time    `json:"created_at"`
	State     string       `json:"state"` // of view delivery
	Class     string       `json:"class"` // "" when it was not refused
	Code      int          `json:"code"`  // 0: none
	Reply     string       `json:"reply"`
	At        *time.Time   `json:"at"` // of the state; nil while it waits
	NextTryAt *time.Time   `json:"next_try_at"`
	Tries     int          `json:"tries"` // tries that have a line: all, except a success at the first try
	Attempts  []Try        `json:"attempts" db:"-"`
	Reports   []ReportLine `json:"reports" db:"-"`
}

// A Try is an attempt that was not a plain success at the first.
type Try struct {
	At    time.Time `json:"at"`
	N     int       `json:"n"`
	Class string    `json:"class"`
	Code  int       `json:"code"`
	Reply string    `json:"reply"`
	Host  string    `json:"host"`
}

// A ReportLine is mail that came back, without the mail.
type ReportLine struct {
	At     time.Time `json:"at"`
	Kind   string    `json:"kind"`
	Was    string    `json:"was"` // state that it changed; "" when it changed none
	Class  string    `json:"class"`
	Code   int       `json:"code"`
	Reply  string    `json:"reply"`
	Via    string    `json:"via"`
	Signed bool      `json:"signed"`
}

// triesShown is how many attempts of a message are listed; a throttled one can have
// hundreds.
const triesShown = 20

const (
	suppressedBySQL = `
SELECT $1::text AS address, coalesce(c.domain, '') AS client, s.cause, s.until, s.added_at, s.added_by::text,
  s.batch_id, s.note,
       s.seq, coalesce(s.until <= now(), false) AS ended,
         EXISTS (SELECT FROM enotify.recipient r WHERE r.batch_id = s.batch_id AND r.seq = s.seq) AS kept
FROM enotify.suppression s LEFT JOIN enotify.client c ON c.id = s.client_id
WHERE s.address = ANY (ARRAY[$1, enotify.hashed_address($1)]) ORDER BY ended, s.client_id NULLS FIRST`
	countedSQL = `
SELECT c.first_at, c.last_at, c.replies, $3::int FROM enotify.counted_reply c
  WHERE c.address = $1 AND c.class = $2::text::enotify.reply_class`
	// An index on the address of each recipient would cost every seal. Instead
	// only those of its domain are looked at, which in each batch are a range,
	// and recipients that the seal left out.
	messagesToSQL = `
SELECT b.id AS batch_id, r.seq, c.domain AS client, b.subject, b.created_at, d.state, coalesce(d.class, '') AS class,
  coalesce(d.code, 0) AS code,
       coalesce(d.reply, '') AS reply, d.at, d.next_try_at,
         (SELECT count(*) FROM enotify.attempt t WHERE t.batch_id = b.id AND t.seq = r.seq)::int AS tries
FROM (SELECT * FROM enotify.batch WHERE created_at >= $2 AND submitted_at IS NOT NULL AND pruned_at IS NULL
  ORDER BY id DESC) b
JOIN enotify.client c ON c.id = b.client_id
CROSS JOIN LATERAL (
	SELECT x.seq FROM (
		SELECT p.first_seq, p.last_seq FROM enotify.batch_domain p
		WHERE p.batch_id = b.id AND p.domain_id = (SELECT k.id FROM enotify.domain k
			WHERE k.name = split_part($1, '@', -1))
		UNION ALL SELECT b.sendable + 1, b.total WHERE b.total > b.sendable
	) p CROSS JOIN LATERAL (
		SELECT x.seq FROM enotify.recipient x
		WHERE x.batch_id = b.id AND x.seq BETWEEN p.first_seq AND p.last_seq AND x.domain_id IS NOT NULL
			AND lower(x.address) = $1
	) x LIMIT 1
) r
CROSS JOIN LATERAL (SELECT * FROM enotify.delivery d
  WHERE d.batch_id = b.id AND d.seq = r.seq OFFSET 0) d -- OFFSET: for that one row, not of all and then joined
ORDER BY b.id DESC LIMIT $3`
	triesSQL = `
SELECT t.at, t.n, coalesce(t.class::text, ''), coalesce(t.code, 0)::int, concat_ws(' ', t.enhanced, t.reply),
  coalesce(t.host, '')
FROM enotify.attempt t WHERE t.batch_id = $1 AND t.seq = $2 ORDER BY t.at DESC, t.n DESC LIMIT $3`
	reportLinesSQL = `
SELECT r.received_at, r.kind, coalesce(r.was::text, ''), coalesce(r.class::text, ''), coalesce(r.code, 0)::int,
  concat_ws(' ', r.enhanced, r.reply), r.via, r.signed
FROM enotify.report r WHERE r.batch_id = $1 AND r.seq = $2 ORDER BY r.received_at DESC`
)

// Explain gathers what is known of an address: its suppressions, those that
// have ended among them, and the last limit messages to it of batches that
// were created since. Batches that were pruned tell nothing any more.
func (r Reader) Explain(ctx context.Context, address string, since time.Time, limit int) (e Explanation, err error) {
	if e.Address, err = r.db.Address(ctx, address); err != nil {
		return e, err
	}
	err = r.read(ctx, func(tx pgx.Tx) error {
		if e.Suppressions, err = query[SuppressedBy](ctx, tx, suppressedBySQL, e.Address); err != nil {
			return err
		}
		for _, of := range []struct {
			class queue.Class
			by    queue.Suppresses
			to    **CountedReplies
		}{
			{queue.MailboxFull, queue.MailboxFull.Treatment().Suppresses, &e.Full},
			{queue.NoSuchUser, queue.OnceRepeated, &e.Unknown},
		} {
			counted, err := query[CountedReplies](ctx, tx, countedSQL, e.Address, string(of.class), of.by.Replies)
			if err != nil {
				return err
			}
			if len(counted) > 0 {
				*of.to = &counted[0]
			}
		}
		if e.Messages, err = query[AddressMessage](ctx, tx, messagesToSQL, e.Address, since, limit+1); err != nil {
			return err
		}
		if e.More = len(e.Messages) > limit; e.More {
			e.Messages = e.Messages[:limit]
		}
		for i := range e.Messages {
			m := &e.Messages[i]
			if m.Attempts, err = query[Try](ctx, tx, triesSQL, m.BatchID, m.Seq, triesShown); err != nil {
				return err
			}
			if m.Reports, err = query[ReportLine](ctx, tx, reportLinesSQL, m.BatchID, m.Seq); err != nil {
				return err
			}
		}
		return nil
	})
	return e, err
}
