package queue_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"enotify/queue/queuetest"
)

// One bad address does not stop a batch: it is an outcome with its reason.
func TestSealChecksAddresses(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	tests := []struct {
		staged string
		want   string // "" when it is invalid
		reason string
	}{
		{staged: "ada@b.example", want: "ada@b.example"},
		{staged: " Ada.L+menu@B.EXAMPLE\r\n", want: "Ada.L+menu@b.example"},
		{staged: "o'neil@b.example", want: "o'neil@b.example"},
		{staged: `"ada lovelace"@b.example`, want: `"ada lovelace"@b.example`},
		{staged: "user@bücher.example", want: "user@xn--bcher-kva.example"},
		{staged: "user@MÜNCHEN.example", want: "user@xn--mnchen-3ya.example"},
		{staged: "x@例え.テスト", want: "x@xn--r8jz45g.xn--zckzah"},
		{staged: "jürgen@b.example", want: "jürgen@b.example"},
		{staged: "a@x-y.co.uk", want: "a@x-y.co.uk"},
		{staged: strings.Repeat("a", 64) + "@b.example", want: strings.Repeat("a", 64) + "@b.example"},

		{staged: "\u200bbob@b.example", want: "bob@b.example"},
		{staged: "\ufeff\u2060 carol@b.example\u00a0\u200e", want: "carol@b.example"},
		{staged: "mailto:dave@B.example?subject=x", want: "dave@b.example"},
		{staged: "<erin@b.example>", want: "erin@b.example"},
		{staged: "\u201cfrank@b.example\u201d", want: "frank@b.example"},
		{staged: "'grace@b.example", want: "grace@b.example"},
		{staged: "'heidi@b.example'", want: "heidi@b.example"},
		{staged: "ivan@b.example;", want: "ivan@b.example"},
		{staged: `=HYPERLINK("mailto:judy@b.example","Judy")`, want: "judy@b.example"},
		{staged: "mallory\uff20b.example", want: "mallory@b.example"},
		{staged: "nick@ｂ．ｅｘａｍｐｌｅ", want: "nick@b.example"},
		{staged: "ju\u0308rgen.k@b.example", want: "jürgen.k@b.example"},
		{staged: "a'b@b.example", want: "a'b@b.example"},

		{staged: "bo\u200bb@b.example", reason: "invisible character U+200B (zero width space)"},
		{staged: "bob@b\u00ad.example", reason: "invisible character U+00AD (soft hyphen)"},
		{staged: "\u202ebob@b.\u202dexample", reason: "invisible character U+202D (left-to-right override)"},
		{staged: "bob\U000e0041@b.example", reason: "invisible character U+E0041"},
		{staged: "#NAME?", reason: "an error of a spreadsheet"},
		{staged: `=CONCAT(A1,"@b.example")`, reason: "a formula of a spreadsheet"},
		{staged: strings.Repeat("a@", 4000), reason: "longer than 254 octets"},
		{staged: strings.Repeat("\u00e4", 4000) + "@b.example ", reason: "longer than 254 octets"},
		{staged: "", reason: "empty"},
		{staged: "ada", reason: "no @"},
		{staged: "@b.example", reason: "no local part"},
		{staged: "ada@", reason: "no domain"},
		{staged: "ada@@b.example", reason: "more than one @"},
		{staged: "ada@b", reason: "domain without a dot"},
		{staged: "ada@b.example.", reason: "domain ends with a dot"},
		{staged: "ada@b..example", reason: "not a domain name"},
		{staged: "ada@-b.example", reason: "not a domain name"},
		{staged: "ada@b-.example", reason: "not a domain name"},
		{staged: "ada@b.1", reason: "top-level domain is a number"},
		{staged: "ada@[192.0.2.1]", reason: "address literal instead of a domain"},
		{staged: "Ada <ada@b.example>", reason: "has a display name; give the bare address"},
		{staged: "ada@b.example, bob@b.example", reason: "more than one @"},
		{staged: "ada;bob@b.example", reason: "more than one address"},
		{staged: "ada lovelace@b.example", reason: "white space"},
		{staged: ".ada@b.example", reason: "dot at an edge of the local part or twice in a row"},
		{staged: "ada..l@b.example", reason: "dot at an edge of the local part or twice in a row"},
		{staged: "ada\r\nBcc: x@b.example", reason: "control character"},
		{staged: strings.Repeat("a", 65) + "@b.example", reason: "local part longer than 64 octets"},
		{staged: "ada@" + strings.Repeat("a", 64) + ".example", reason: "domain label longer than 63 octets"},
		{staged: "ada@" + strings.Repeat("a23456789.", 25) + "example", reason: "longer than 254 octets"},
	}
	var addresses []string
	for _, test := range tests {
		addresses = append(addresses, test.staged)
	}
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't', $1)`, addresses)

	type row struct{ Address, State, Reason string }
	var want []row
	for _, test := range tests {
		if test.reason == "" {
			want = append(want, row{test.want, "pending", ""})
		} else {
			want = append(want, row{test.staged, "invalid", test.reason})
		}
	}
	rows, err := f.Conn.Query(t.Context(),
		`SELECT address, state, coalesce(reply, '') FROM enotify.delivery WHERE batch_id = $1`, batch)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		t.Fatal(err)
	}
	byAddress := func(rows []row) map[string]row {
		m := map[string]row{}
		for _, r := range rows {
			m[r.Address] = r
		}
		return m
	}
	if diff := cmp.Diff(byAddress(want), byAddress(got)); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
}

// Equal addresses become one recipient, with the data of the first; a domain
// is a range of seq; those that are not sent to come last.
func TestSealNumbersInDomainOrder(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.suppression (address, client_id, cause) VALUES ('gone@b.example', NULL, 'no_such_user')`)
	f.Exec(`INSERT INTO enotify.suppression (address, client_id, cause) SELECT 'left@c.example', id, 'unsubscribe' FROM enotify.client`)
	f.Exec(`INSERT INTO enotify.suppression (address, client_id, cause, until) VALUES ('full@c.example', NULL, 'mailbox_full', now() - interval '1 day')`)
	batch := queuetest.Query[int64](f, `SELECT enotify.enqueue('k', 'info@town.example', 's', 't',
		'{z@c.example,a@b.example,Gone@B.example,left@c.example,full@c.example,A@B.EXAMPLE,bad,y@c.example,x@b.example,odd@b.example}',
		ARRAY['{"n":1}','{"n":2}',NULL,NULL,NULL,'{"n":6}',NULL,NULL,NULL,'[1]']::jsonb[])`)
	type row struct {
		Seq            int
		Address, State string
		Data           *string
	}
	rows, err := f.Conn.Query(t.Context(),
		`SELECT d.seq, d.address, d.state, r.data::text FROM enotify.delivery d JOIN enotify.recipient r USING (batch_id, seq) WHERE batch_id = $1 ORDER BY seq`, batch)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		t.Fatal(err)
	}
	one, two, list := `{"n": 1}`, `{"n": 2}`, `[1]`
	want := []row{
		{1, "a@b.example", "pending", &two},
		{2, "x@b.example", "pending", nil},
		{3, "z@c.example", "pending", &one},
		{4, "full@c.example", "pending", nil},
		{5, "y@c.example", "pending", nil},
		{6, "Gone@b.example", "suppressed", nil},
		{7, "left@c.example", "suppressed", nil},
		{8, "bad", "invalid", nil},
		{9, "odd@b.example", "invalid", &list},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
	if got := queuetest.Query[string](f,
		`SELECT string_agg(format('%s-%s', first_seq, last_seq), ' ' ORDER BY first_seq) FROM enotify.batch_domain WHERE batch_id = $1`, batch); got != "1-2 3-5" {
		t.Errorf("ranges: got %q, want %q", got, "1-2 3-5")
	}
	if got := queuetest.Query[string](f,
		`SELECT format('%s %s %s %s', staged, duplicates, total, sendable) FROM enotify.batch WHERE id = $1`,
		batch); got != "10 1 9 5" {
		t.Errorf("staged, duplicates, total, sendable: got %q, want %q", got, "10 1 9 5")
	}
}

func TestSubmitIsIdempotentAndCounts(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	create := `SELECT enotify.create_batch(idem_key => $1, from_address => 'info@town.example', subject => 's', body_text => 't')`
	batch := queuetest.Query[int64](f, create, "k")
	if again := queuetest.Query[int64](f, create, "k"); again != batch {
		t.Errorf("same key: got batch %d, want %d", again, batch)
	}
	copied, err := f.Conn.CopyFrom(t.Context(), pgx.Identifier{"enotify", "recipient_in"},
		[]string{"batch_id", "address", "data"},
		pgx.CopyFromRows([][]any{{batch, "a@b.example", map[string]any{"name": "Ada"}}, {batch, "b@b.example", nil}}))
	if err != nil || copied != 2 {
		t.Fatalf("COPY: %d rows, %v", copied, err)
	}
	refused(f, `SELECT enotify.submit_batch($1, 3)`, "batch 1 has 2 staged recipients, expected 3", batch)
	for range 2 {
		if got := queuetest.Query[int](f, `SELECT enotify.submit_batch($1, 2)`, batch); got != 2 {
			t.Errorf("submit_batch: got %d, want 2", got)
		}
	}
	refused(f, `SELECT enotify.submit_batch($1, 3)`, "batch 1 was submitted with 2 recipients, not 3", batch)
	refused(f, `SELECT enotify.add_recipients($1, '{c@b.example}')`,
		"batch 1 is submitted; it takes no more recipients", batch)

	empty := queuetest.Query[int64](f, create, "empty")
	refused(f, `SELECT enotify.submit_batch($1)`, " is empty", empty)
	refused(f, `SELECT enotify.submit_batch(99)`, "no batch 99 of yours")
	refused(f, `INSERT INTO enotify.recipient_in (batch_id, address) VALUES (99, 'a@b.example')`,
		"no batch 99 of yours")
}

// Nothing that would become a header may hold a line end, whichever login inserts it.
func TestHeadersCannotBeInjected(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	for _, argument := range []string{"subject", "from_name", "reply_to", "from_address", "list_unsubscribe"} {
		args := map[string]string{"idem_key": "k", "from_address": "info@town.example", "subject": "s"}
		args[argument] = "https://x@town.example\r\nBcc: all@b.example"
		var names []string
		var values []any
		for name, value := range args {
			values = append(values, value)
			names = append(names, name+" => $"+string(rune('0'+len(values))))
		}
		if _, err := f.Conn.Exec(t.Context(), `SELECT enotify.create_batch(`+strings.Join(names, ", ")+`)`,
			values...); err == nil {
			t.Errorf("%s with CR LF: got no error, want one", argument)
		}
	}
	batch := queuetest.Query[int64](f, `SELECT enotify.create_batch('k', 'info@town.example', 's')`)
	refused(f, `SELECT enotify.add_attachment($1, E'a\r\nX: y', 'x')`,
		`holds a quote, slash, backslash or control character`, batch)
	refused(f, `INSERT INTO enotify.attachment (batch_id, n, filename, content) VALUES ($1, 1, E'a\tb', 'x')`,
		`violates check constraint "attachment_filename_check"`, batch)
	for _, column := range []string{"subject", "from_name", "reply_to", "from_address", "list_unsubscribe"} {
		refused(f, `UPDATE enotify.batch SET `+column+` = E'https:a\nb' WHERE id = $1`,
			`violates check constraint "batch_`+column+`_check"`, batch)
	}
	refused(f, `UPDATE enotify.batch SET headers = '{"X-A": "a\nBcc: b"}' WHERE id = $1`,
		`violates check constraint "batch_headers_check"`, batch)
	refused(f, `UPDATE enotify.batch SET headers = '{"X-A": ["a", "\u0085b"]}' WHERE id = $1`,
		`violates check constraint "batch_headers_check"`, batch)
	refused(f, `UPDATE enotify.batch SET headers = '{"X A": "a"}' WHERE id = $1`,
		`violates check constraint "batch_headers_check"`, batch)
	if got := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.batch WHERE subject ~ '[\r\n]' OR from_address ~ '[\r\n]'`); got != 0 {
		t.Errorf("batches with a line end: got %d, want 0", got)
	}
}

// An application may enqueue several batches in one transaction.
func TestSealTwiceInOneTransaction(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`BEGIN`)
	first, second := f.Enqueue("first", 3, "a.example"), f.Enqueue("second", 2, "b.example")
	f.Exec(`COMMIT`)
	for batch, want := range map[int64]int{first: 3, second: 2} {
		if got := f.States(batch); got["pending"] != want {
			t.Errorf("states of batch %d: got %v, want %d pending", batch, got, want)
		}
	}
}

// The seal takes a short way for plain addresses. It finds what the functions find
// that check an address, whatever parts it is made of.
func TestSealChecksPlainAddressesTheSame(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`SELECT enotify.create_batch('plain', 'info@town.example', 's', 't')`)
	f.Exec(`
INSERT INTO enotify.recipient_in (batch_id, address)
SELECT 1, l || at || d
FROM unnest($1::text[]) l, unnest('{@,@@," @"}'::text[]) at, unnest($2::text[]) d`,
		[]string{"", "a", "A+b", "a.b", "a..b", ".a", "a.", "a-b", "a-.b", "-a", "a-", "a_b", "_", "'a", "mailto:a", "a!b",
			"a a", "é", "{a}", strings.Repeat("l", 60)},
		[]string{"", "b.example", "c.B.example", "b.c.example", "b-c.example", "b--c.example", "-b.example", "b-.example",
			"b.-c.example", "b..example", ".example", "example", "b.example.", "b.123", "b.1a", "b.a1", "b_c.example", "b-example",
			"xn--bcher-kva.example", "bücher.example", strings.Repeat("d", 64) + ".example"})
	different := queuetest.Query[[]string](f, `
SELECT coalesce(array_agg(format('%s: %s, %s', r.address, s.address, s.problem)), '{}')
FROM enotify.sealing(1) s
JOIN (
	SELECT address, row_number() OVER (ORDER BY ctid) AS place FROM enotify.recipient_in
) r USING (place)
WHERE s.problem IS DISTINCT FROM enotify.mailbox_problem(enotify.mailbox(r.address))
   OR s.address <> CASE WHEN s.problem IS NULL THEN enotify.mailbox(r.address) ELSE r.address END`)
	if len(different) > 0 {
		t.Errorf("the seal and the functions differ: got %q, want none", different)
	}
	good := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.sealing(1) WHERE problem IS NULL`)
	bad := queuetest.Query[int](f, `SELECT count(*)::int FROM enotify.sealing(1) WHERE problem IS NOT NULL`)
	if good < 50 || bad < 50 {
		t.Errorf("got %d good and %d bad addresses, want 50 of each at least", good, bad)
	}
}

// Many recipients are sealed in another way than few. Both find the same.
func TestSealOfManyAndOfFewIsTheSame(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.suppression (address, client_id, cause, until) SELECT a, c, 'operator', u
FROM (SELECT id FROM enotify.client) k, LATERAL (VALUES ('all@b.example', NULL, NULL), ('ours@c.example', k.id, NULL),
	('again@c.example', NULL, now() - interval '1 day')) s (a, c, u)`)
	staged := `
INSERT INTO enotify.recipient_in (batch_id, address, data)
SELECT $1, a, d::jsonb FROM (VALUES ('z@c.example', '{"n": 1}'), (' A@b.example ', NULL), ('bad', NULL), ('a@B.example', '{"n": 4}'),
	('a@b.example', NULL), ('Jürgen@c.example', '{"n": 6}'), ('JÜRGEN@C.example', NULL), ('All@b.example', NULL),
	('ours@c.example', NULL), ('again@c.example', NULL), ('BAD', NULL), ('odd@b.example', '[1]'), ('ODD@b.example', '{}'),
	('', NULL), (NULL, NULL), ('y@c.example', NULL), ('Z@C.example', NULL), ('only@d.example', '{"n": 18}')) s (a, d)`
	create := `SELECT enotify.create_batch(idem_key => $1, from_address => 'info@town.example', subject => 's', body_text => 't')`
	few, many := queuetest.Query[int64](f, create, "few"), queuetest.Query[int64](f, create, "many")
	f.Exec(staged, few)
	f.Exec(`INSERT INTO enotify.recipient_in (batch_id, address) SELECT $1, 'u' || i % 1500 || '@fill.example'
		FROM generate_series(1, 2000) i`, many)
	f.Exec(staged, many)
	f.Exec(`SELECT enotify.submit_batch($1)`, few)
	f.Exec(`SELECT enotify.submit_batch($1)`, many)

	type row struct {
		Address, State string
		Reason, Data   *string
	}
	of := func(batch int64) []row {
		rows, err := f.Conn.Query(t.Context(), `
SELECT d.address, d.state, d.reply, r.data::text FROM enotify.delivery d JOIN enotify.recipient r USING (batch_id, seq)
WHERE batch_id = $1 AND d.address NOT LIKE '%@fill.example' ORDER BY seq`, batch)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if diff := cmp.Diff(of(few), of(many)); diff != "" || len(of(few)) != 11 {
		t.Errorf("recipients: got %d, want 11 (-few +many):\n%s", len(of(few)), diff)
	}
	for batch, want := range map[int64]string{few: "18 7 11 6", many: "2018 507 1511 1506"} {
		got := queuetest.Query[string](f, `SELECT format('%s %s %s %s', staged, duplicates, total, sendable)
			FROM enotify.batch WHERE id = $1`, batch)
		if got != want {
			t.Errorf("batch %d: staged, duplicates, total, sendable: got %q, want %q", batch, got, want)
		}
		apart := queuetest.Query[int](f, `
SELECT count(*)::int FROM enotify.recipient r JOIN enotify.batch b ON b.id = r.batch_id AND r.seq <= b.sendable
LEFT JOIN enotify.batch_domain d ON d.batch_id = b.id AND d.domain_id = r.domain_id AND r.seq BETWEEN d.first_seq AND d.last_seq
WHERE b.id = $1 AND (d IS NULL OR d.intent_seq <> d.first_seq - 1)`, batch)
		if apart > 0 {
			t.Errorf("batch %d: got %d recipients outside the range of their domain, want none", batch, apart)
		}
	}
}
