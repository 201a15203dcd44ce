package insight_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/queue/insight"
	"enotify/queue/queuetest"
	"enotify/queue/retention"
)

// take counts without naming anybody.
func take(f *queuetest.Fixture, q insight.CensusQuery) *insight.Census {
	f.Helper()
	var taken *insight.Census
	q.Client, q.Shapes = "town.example", true
	if err := insight.Of(f.DB).TakeCensus(f.Context(), q,
		func(c *insight.Census, _ func(insight.Shape, int) ([]string, error)) error {
			taken = c
			return nil
		}); err != nil {
		f.Fatal(err)
	}
	return taken
}

var mixed = []string{
	"Ada@A.example", "ada@a.example", "bob@b.example", "gone@b.example", "unwilling@b.example", "no address", "",
	"postmaster@a.example",
	"jürgen@münchen.example", "x@y@z.example", "eve@a.example",
}

// A census finds what the seal finds, changes nothing, and finds the same once
// it is sealed.
func TestCensusForetellsTheSeal(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Exec(`INSERT INTO enotify.suppression (address, client_id, cause) VALUES ('gone@b.example', NULL, 'no_such_user'), ('unwilling@b.example', 1, 'unsubscribe'), ('eve@a.example', NULL, 'operator')`)
	f.Exec(`UPDATE enotify.suppression SET until = now() - interval '1 s' WHERE address = 'eve@a.example'`)
	if forgotten, err := retention.Of(f.DB).Forget(t.Context(), "gone@b.example", true); err != nil || forgotten.Kept != 1 {
		t.Fatalf("gone@b.example under a keyed hash: got %+v (%v), want one suppression kept", forgotten, err)
	}
	id := queuetest.Query[int64](f, `SELECT enotify.create_batch('k', 'info@town.example', 's', 't')`)
	f.Exec(`SELECT enotify.add_recipients($1, $2)`, id, mixed)

	draft := take(f, insight.CensusQuery{Batch: id})
	if state := queuetest.Query[string](f, `SELECT state::text FROM enotify.batch WHERE id = $1`,
		id); state != "draft" {
		t.Errorf("the batch is %s after a census", state)
	}
	f.Exec(`SELECT enotify.submit_batch($1)`, id)
	s, err := f.DB.Status(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	invalid, suppressed := 0, 0
	for _, i := range draft.Invalid {
		invalid += i.N
	}
	for _, i := range draft.Suppressed {
		suppressed += i.N
	}
	if got, want := []int{draft.Given, draft.Duplicates, invalid, suppressed, draft.Sendable}, []int{len(mixed),
		s.Duplicates, s.Invalid, s.Suppressed, s.Pending}; !cmp.Equal(got, want) {
		t.Errorf("given, duplicates, invalid, suppressed, sendable: the census says %v, the seal %v", got, want)
	}
	if draft.Roles != 1 || draft.RoleExamples[0] != "postmaster@a.example" || draft.UTF8 != 1 {
		t.Errorf("roles %d %v, UTF-8 %d; want 1 and 1", draft.Roles, draft.RoleExamples, draft.UTF8)
	}
	want := []insight.DomainCount{{Domain: "a.example", N: 3}, {Domain: "b.example", N: 1},
		{Domain: "xn--mnchen-3ya.example", N: 1}}
	if !cmp.Equal(draft.Domains, want) {
		t.Errorf("domains (-want +got):\n%s", cmp.Diff(want, draft.Domains))
	}
	sealed := take(f, insight.CensusQuery{Batch: id})
	if diff := cmp.Diff(draft, sealed, cmp.FilterPath(func(p cmp.Path) bool {
		return strings.Contains(p.String(), "Invalid") || strings.Contains(p.String(), "Shapes")
	}, cmp.Ignore())); diff != "" {
		t.Errorf("sealed it is another (-draft +sealed):\n%s", diff)
	}
}

// Who was written to before is known.
func TestCensusKnowsEarlierRecipients(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	f.Enqueue("first", 10, "a.example")
	f.Serve(f.Server("n1", queuetest.Deliver))
	c := take(f, insight.CensusQuery{Recipients: each("USER1@a.example", "user2@a.example", "new@a.example")})
	if c.EarlierBatches != 1 || c.Known != 2 || c.Sendable != 3 {
		t.Errorf("got %d of %d known, from %d batches", c.Known, c.Sendable, c.EarlierBatches)
	}
}

func each(addresses ...string) func() (queue.Recipient, error) {
	return func() (r queue.Recipient, err error) {
		if len(addresses) == 0 {
			return r, io.EOF
		}
		r.Address, addresses = addresses[0], addresses[1:]
		return r, nil
	}
}

// Recipients with values for the same fields, and the same of them empty, have one shape.
func TestShapes(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	id := queuetest.Query[int64](f, `SELECT enotify.create_batch('k', 'info@town.example', 's', 't')`)
	for i, data := range []string{
		`{"a": "x", "b": 1}`, `{"b": 2, "a": "y"}`, `{"a": "", "b": 1}`, `{"a": "x"}`, `{"a": "x", "b": null}`,
		`{"a": {"c": 1}}`, `{"a": {"c": ""}}`, `{"a": [1]}`, `{"a": []}`, `{}`,
	} {
		f.Exec(`SELECT enotify.add_recipients($1, ARRAY[$2], ARRAY[$3]::jsonb[])`, id, fmt.Sprintf("u%d@a.example", i),
			data)
	}
	f.Exec(`SELECT enotify.add_recipients($1, '{none@a.example}')`, id)
	var got []string
	err := insight.Of(f.DB).TakeCensus(t.Context(),
		insight.CensusQuery{Batch: id, Client: "town.example", Shapes: true},
		func(c *insight.Census, alike func(insight.Shape, int) ([]string, error)) error {
			for _, s := range c.Shapes {
				who, err := alike(s, 10)
				if err != nil {
					return err
				}
				got = append(got, fmt.Sprintf("%d %s", s.N, strings.Join(who, " ")))
			}
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"2 none@a.example u9@a.example", "2 u0@a.example u1@a.example", "2 u3@a.example u4@a.example",
		"1 u2@a.example", "1 u5@a.example", "1 u6@a.example", "1 u7@a.example", "1 u8@a.example",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shapes (-want +got):\n%s", diff)
	}
}
