package main_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"enotify/sender/smtptest"
)

// thingsSQL is two years of history: 33,000 batches of 1,000 clients to a million
// recipients at 300 domains, every third with a bounce; and 20 batches that wait, each
// to 300 domains, beside a node that is alive. Nothing runs by triggers: history is
// as it was.
const thingsSQL = `
SET session_replication_role = replica;
INSERT INTO enotify.client (domain) SELECT format('town%s.example', i) FROM generate_series(1, 1000) i;
INSERT INTO enotify.site (name, grp) SELECT format('d%s.test', i), i % 64 FROM generate_series(0, 299) i;
INSERT INTO enotify.domain (name, grp, site_id, surveyed_at, surveyed_until)
	SELECT name, grp, id, now(), now() + interval '1 day' FROM enotify.site ORDER BY id;
INSERT INTO enotify.batch (client_id, idem_key, state, from_address, subject, body_text, staged, total, sendable,
	created_at, submitted_at, surveyed_at, started_at, turn_at, finished_at, expires_at)
	SELECT c.id, 'key' || i, 'done', 'info@' || c.domain, 'Menu ' || i, repeat('soup ', 400), 30, 30, 30,
		t, t, t, t, t, t + interval '5 min', t + interval '3 days'
	FROM generate_series(1, 33000) i JOIN enotify.client c ON c.domain = format('town%s.example', i % 1000 + 1)
	CROSS JOIN LATERAL (SELECT now() - interval '1 hour' - interval '730 days' * (1 - i / 33000.0) AS t) x ORDER BY i;
INSERT INTO enotify.batch_log (batch_id, at, from_state, to_state, reason)
	SELECT b.id, b.submitted_at, v.f::enotify.batch_state, v.t::enotify.batch_state, '' FROM enotify.batch b,
	(VALUES (NULL, 'draft'), ('draft', 'queued'), ('queued', 'sending'), ('sending', 'done')) v (f, t);
INSERT INTO enotify.batch_domain (batch_id, domain_id, first_seq, last_seq, intent_seq, grp)
	SELECT b.id, d.id, k * 6 + 1, k * 6 + 6, k * 6 + 6, d.grp FROM enotify.batch b, generate_series(0, 4) k
	JOIN enotify.domain d ON true WHERE d.name = format('d%s.test', (b.id + k * 37) % 300);
INSERT INTO enotify.recipient (batch_id, seq, domain_id, address)
	SELECT d.batch_id, s, d.domain_id, format('user%s@%s', (d.batch_id * 31 + s * 7) % 5000, k.name)
	FROM enotify.batch_domain d JOIN enotify.domain k ON k.id = d.domain_id, generate_series(d.first_seq, d.last_seq) s;
INSERT INTO enotify.outcome (batch_id, at, seq, state, class, code, enhanced, reply)
	SELECT r.batch_id, b.started_at, r.seq, x.state, x.class, x.code, x.enhanced, x.reply
	FROM enotify.recipient r JOIN enotify.batch b ON b.id = r.batch_id
	JOIN (VALUES
		(true, 'bounced'::enotify.recipient_state, 'no_such_user'::enotify.reply_class, 550, '5.1.1', 'no such user'),
		(false, 'delivered', NULL, 250, '2.0.0', 'ok')) x (gone, state, class, code, enhanced, reply)
	ON x.gone = (r.seq = 7 AND b.id % 3 = 0);
INSERT INTO enotify.batch_count (batch_id, state, shard, n)
	SELECT batch_id, state, 0, count(*) FROM enotify.outcome GROUP BY 1, 2;
INSERT INTO enotify.attempt (batch_id, at, seq, n, class, code, enhanced, reply, host)
	SELECT batch_id, at, seq, 1, class, code, enhanced, reply, 'mx.test' FROM enotify.outcome WHERE state = 'bounced';
INSERT INTO enotify.suppression (address, cause, added_at, batch_id, seq)
	SELECT DISTINCT ON (r.address) r.address, 'no_such_user', o.at, o.batch_id, o.seq
	FROM enotify.outcome o JOIN enotify.recipient r USING (batch_id, seq) WHERE o.state = 'bounced'
	ORDER BY r.address, o.at;
INSERT INTO enotify.destination (name, rate_messages, rate_per)
	SELECT format('d%s.test', i), 60, '1 min' FROM generate_series(0, 99) i;
INSERT INTO enotify.node (name, egress, helo, version, live_until)
	VALUES ('n1', '{192.0.2.10}', 'mail.host.example', '1', now() + interval '1 hour');
SET session_replication_role = DEFAULT;
SELECT enotify.enqueue('now' || i, format('info@town%s.example', i), 'Now', 'Soup.',
	ARRAY(SELECT format('user%s@d%s.test', k, k % 300) FROM generate_series(1, 300) k)) FROM generate_series(1, 20) i;
VACUUM ANALYZE`

// BenchmarkTenThousandThings runs each verb that an operator reads by, as a process of
// its own, beside two years of history. The verb version is the process alone.
func BenchmarkTenThousandThings(b *testing.B) {
	s := newSite(b, smtptest.Config{})
	for sql := range strings.SplitSeq(thingsSQL, ";\n") {
		s.Exec(sql)
	}
	next := ask[string](s, `SELECT max(id)::text FROM enotify.batch`)
	bounced := ask[string](s, `SELECT max(batch_id)::text FROM enotify.outcome WHERE state = 'bounced'`)
	for _, verb := range []string{
		"version", "batch list", "batch list --all", "batch list --client town7.example", "batch show " + next,
		"batch show " + bounced, "bounce report", "bounce report --since 30d", "bounce report --batch " + bounced,
		"client list", "client show town7.example", "destination list", "destination show d7.test", "egress list",
		"node list", "suppression list", "suppression explain user7@d1.test", "doctor",
	} {
		b.Run(strings.TrimSuffix(strings.TrimSuffix(verb, " "+next), " "+bounced), func(b *testing.B) {
			for b.Loop() {
				out, err := s.Enotify(strings.Fields(verb)...).CombinedOutput()
				exit := (*exec.ExitError)(nil)
				if err != nil && (verb != "doctor" || !errors.As(err, &exit) || exit.ExitCode() != 2) { // no such node runs
					b.Fatalf("enotify %s: %v\n%s", verb, err, out)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms")
		})
	}
}
