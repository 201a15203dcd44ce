package queue

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A Report is mail that came back about a recipient.
type Report struct {
	Batch  int64
	Seq    int32
	Signed bool // it came to, or returned, an address that we signed
	// CountOnly is a complaint that anyone with a message of the batch could have
	// written: it counts for the client and suppresses nobody.
	CountOnly bool
	Kind      ReportKind
	ID        string // Message-ID of the mail; "" when it has none
	Class     Class  // why, of a bounce; "" when it gives no reason
	// Treatment is set only where the reason is to be treated otherwise than its class.
	Treatment Treatment
	Reply     Reply  // the same in the receiver's words
	Host      string // that gave the reply; "" when the report does not say
	Via       string // ViaListener or ViaIngest
	Raw       []byte // the mail, at most 1 MiB of it
}

// ReportKind is the kind of a mail that came back. Package report has the same kinds.
type ReportKind string

const (
	ReportBounce    ReportKind = "bounce"    // the recipient was given up: the outcome becomes Bounced
	ReportExpired   ReportKind = "expired"   // the same since nobody answered for days: it becomes Expired
	ReportDelay     ReportKind = "delay"     // means nothing yet
	ReportComplaint ReportKind = "complaint" // called spam: suppresses the address for the client
	ReportAutoReply ReportKind = "autoreply" // means nothing, like challenge and other
	ReportChallenge ReportKind = "challenge"
	ReportOther     ReportKind = "other"
)

// The ways by which reports arrive.
const (
	ViaListener = "listener"
	ViaIngest   = "ingest"
)

// Recorded is what RecordReport did.
type Recorded struct {
	Known   bool  // the same was recorded before: nothing was done
	Was     State // of a recipient whose state changed; "" when it did not
	Address string
	Client  string // domain
	Alerts  []Alert
}

// maxReports is how many different reports about one recipient are kept: everyone who
// got the message can send more.
const maxReports = 20

const (
	reportedSQL = `
SELECT count(*) >= $3 OR coalesce(bool_or(r.fingerprint = $4 OR r.message_id = $5), false)
FROM enotify.report r WHERE r.batch_id = $1 AND r.seq = $2`
	requeuesSQL   = `SELECT requeues FROM enotify.batch WHERE id = $1`
	keepReportSQL = `
INSERT INTO enotify.report (fingerprint, batch_id, seq, signed, kind, was, class, code, enhanced, reply, message_id,
  via, raw)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (fingerprint) DO NOTHING`
	// It changes also a recipient whose outcome is still on its way to the database, or
	// that waits for another try; never one that was not sent to. For a recipient that
	// was requeued and not tried since, the report is about an earlier try, and counts
	// when it suppresses the address.
	lateBounceSQL = `
WITH sent AS (
	SELECT r.batch_id, r.seq, o.state AS was
	FROM enotify.recipient r
	JOIN enotify.batch_domain p ON p.batch_id = r.batch_id AND p.domain_id = r.domain_id
		AND r.seq BETWEEN p.first_seq AND p.intent_seq
	LEFT JOIN enotify.outcome o ON o.batch_id = r.batch_id AND o.seq = r.seq
	WHERE r.batch_id = $1 AND r.seq = $2 AND (o.state IS NULL AND $8 OR o.state IN ('delivered', 'unknown'))
	  AND ($9 OR NOT EXISTS (SELECT FROM enotify.retry t WHERE t.batch_id = r.batch_id AND t.seq = r.seq
	    AND t.requeued))
), waiting AS (
	DELETE FROM enotify.retry t USING sent WHERE t.batch_id = sent.batch_id AND t.seq = sent.seq
), changed AS (
	INSERT INTO enotify.outcome AS o (batch_id, seq, state, class, code, enhanced, reply, at)
	SELECT batch_id, seq, $3::enotify.recipient_state, $4::enotify.reply_class, $5, $6, $7, now() FROM sent
	ON CONFLICT (batch_id, seq) DO UPDATE
	SET state = excluded.state, class = excluded.class, code = excluded.code, enhanced = excluded.enhanced,
		reply = excluded.reply, at = excluded.at
	WHERE o.state IN ('delivered', 'unknown')
	RETURNING o.batch_id
)
SELECT coalesce(sent.was::text, 'sending') FROM sent JOIN changed ON changed.batch_id = sent.batch_id`
)

// RecordReport records mail that came back and its consequences in one transaction:
// the outcome of a bounce, and suppression as if the receiver had refused at once. The
// same report again, by whatever way, changes nothing. The error wraps ErrNotFound when
// there is no such recipient, or not any more.
func (db *DB) RecordReport(ctx context.Context, r Report) (done Recorded, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		done, err = record(ctx, tx, r)
		return err
	})
	var no *pgconn.PgError
	if errors.As(err, &no) && no.Code == "42501" { // insufficient_privilege
		return Recorded{}, errors.New("this login may not record what comes back; it takes a member of enotify_sender")
	}
	return done, err
}

func record(ctx context.Context, tx pgx.Tx, r Report) (done Recorded, err error) {
	var now time.Time // the database's: ours may be wrong
	if err := tx.QueryRow(ctx, `SELECT now()`).Scan(&now); err != nil {
		return done, err
	}
	late := []Result{r.result(now)}
	var clients []int32
	if r.Kind == ReportBounce && r.treated().AsksGuard {
		if clients, err = lockRefused(ctx, tx, late); err != nil {
			return done, err
		}
	}
	if _, err := tx.Exec(ctx, writeResultsSQL, []int64{r.Batch}); err != nil {
		return done, err
	}
	// Two copies of a report at once: the second waits for the first.
	if _, err := tx.Exec(ctx, `SELECT enotify.lock_report($1, $2)`, r.Batch, r.Seq); err != nil {
		return done, err
	}
	a, err := readAddressee(tx.QueryRow(ctx, addresseeSQL, r.Batch, r.Seq), r.Batch, r.Seq)
	if err != nil {
		return done, err
	}
	done.Address, done.Client = a.Address, a.Client
	var requeues int
	if err := tx.QueryRow(ctx, requeuesSQL, r.Batch).Scan(&requeues); err != nil {
		return done, err
	}
	fingerprint, id := r.fingerprint(requeues), r.id()
	if err := tx.QueryRow(ctx, reportedSQL, r.Batch, r.Seq, maxReports, fingerprint,
		id).Scan(&done.Known); err != nil || done.Known {
		return done, err
	}
	switch r.Kind {
	case ReportBounce:
		if done.Was, err = r.bounce(ctx, tx, Bounced); err == nil && done.Was != "" {
			done.Alerts, err = r.act(ctx, tx, clients, late)
		}
	case ReportExpired:
		done.Was, err = r.bounce(ctx, tx, Expired)
	case ReportComplaint:
		if r.CountOnly {
			break
		}
		_, err = turnAway(ctx, tx, "complaint", r.Batch, r.Seq, "a complaint of the reader's provider")
	}
	if err != nil {
		return done, err
	}
	var was *string
	if done.Was != "" && done.Was != Sending {
		was = orNull(string(done.Was))
	}
	_, err = tx.Exec(ctx, keepReportSQL, fingerprint, r.Batch, r.Seq, r.Signed, string(r.Kind), was,
		orNull(string(r.Class)), orNullCode(r.Reply.Code),
		orNull(r.Reply.Enhanced), orNull(r.Reply.Text), id, r.Via, r.Raw)
	if err != nil || r.Kind != ReportComplaint {
		return done, err
	}
	if err := chill(ctx, tx, r.Batch, r.Seq); err != nil {
		return done, err
	}
	alert, err := complained(ctx, tx, r.Batch, done.Client)
	if alert != nil {
		done.Alerts = append(done.Alerts, *alert)
	}
	return done, err
}

// bounce changes the outcome.
func (r *Report) bounce(ctx context.Context, tx pgx.Tx, to State) (was State, err error) {
	atOnce := r.treated().Suppresses.Replies == 1
	err = tx.QueryRow(ctx, lateBounceSQL, r.Batch, r.Seq, string(to), orNull(string(r.Class)), orNullCode(r.Reply.Code),
		orNull(r.Reply.Enhanced), storable(r.Reply.Text), r.Signed, atOnce).Scan(&was)
	if errors.Is(err, pgx.ErrNoRows) { // it had bounced already, or was never sent
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("outcome of recipient %d of batch %d: %w", r.Seq, r.Batch, err)
	}
	return was, nil
}

// act draws the consequences that the same reply would have had at once.
func (r *Report) act(ctx context.Context, tx pgx.Tx, clients []int32, late []Result) (alerts []Alert, err error) {
	t := r.treated()
	var s suppressing
	s.add(&late[0], t)
	var b pgx.Batch
	s.queue(&b)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil || !t.AsksGuard {
		return nil, err
	}
	return refuse(ctx, tx, clients, late)
}

// result returns the report in the form of an attempt's result.
func (r *Report) result(at time.Time) Result {
	return Result{Batch: r.Batch, Seq: r.Seq, At: at,
		Outcome: Outcome{State: Bounced, Class: r.Class, Treatment: r.Treatment, Reply: r.Reply, Host: r.Host}}
}

func (r *Report) treated() Treatment {
	o := r.result(time.Time{}).Outcome
	return o.Treated()
}

// fingerprint is the same for two mails that say the same of a recipient: a
// relay writes another Received: line, and a copy in a mailbox has more lines.
// After a requeue the same may be said of another try.
func (r *Report) fingerprint(requeues int) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d %d %s %s %d %s", r.Batch, r.Seq, requeues, r.Kind, r.Class,
		r.Reply.Code, r.Reply.Enhanced))
	return sum[:]
}

// id is the same for two copies of a mail, which have one Message-ID, or when
// they have none at least one body.
func (r *Report) id() string {
	if r.ID != "" {
		return storable(r.ID)
	}
	_, body, _ := bytes.Cut(bytes.ReplaceAll(r.Raw, []byte("\r\n"), []byte("\n")), []byte("\n\n"))
	return fmt.Sprintf("sha256:%x", sha256.Sum256(bytes.TrimSpace(body)))
}

func orNullCode(code int) *int16 {
	if code == 0 {
		return nil
	}
	n := int16(code)
	return &n
}

const byMessageIDSQL = `
SELECT r.address FROM enotify.batch b JOIN enotify.client c ON c.id = b.client_id
  JOIN enotify.recipient r ON r.batch_id = b.id AND r.seq = $2
WHERE b.id = $1 AND c.domain = lower($3) AND (extract(epoch FROM b.created_at) * 1000000)::bigint = $4
  AND r.address <> ''`

// AboutMessage reports the recipient of the message with an ID of ours: number seq
// of a batch of the client, which was created at a time, to the microsecond.
// The error wraps ErrNotFound when there was no such message.
func (db *DB) AboutMessage(ctx context.Context, batch int64, seq int32, client string,
	created time.Time) (address string, err error) {
	err = db.pool.QueryRow(ctx, byMessageIDSQL, batch, seq, client, created.UnixMicro()).Scan(&address)
	return address, addresseeError(err, batch, seq)
}
