package tlsrpt_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/sender/tlsrpt"
)

// Where reports go, by the records of RFC 8460 §3.
func TestDestinations(t *testing.T) {
	t.Parallel()
	for record, want := range map[string][]tlsrpt.Destination{
		"v=TLSRPTv1; rua=mailto:reports@a.example":             {{Mail: "reports@a.example"}},
		"v=TLSRPTv1;rua=https://a.example/v1/tlsrpt":           {{Page: "https://a.example/v1/tlsrpt"}},
		"v=TLSRPTv1; rua=mailto:a@b.example,https://b.example": {{Mail: "a@b.example"}, {Page: "https://b.example"}},
		"v=TLSRPTv1; rua=mailto:a%2Cb@c.example; ext=1":        {},
		"v=TLSRPTv1; rua=mailto:a%21b@c.example; ext=1":        {{Mail: "a!b@c.example"}},
		"v=TLSRPTv1; rua = mailto:a@b.example ;":               {{Mail: "a@b.example"}},
		"v=TLSRPTv1; rua=mailto:A <a@b.example>":               {},
		"v=TLSRPTv1; rua=mailto:":                              {},
		"v=TLSRPTv1; rua=http://a.example":                     {},
		"v=TLSRPTv1; rua=https://user:secret@a.example":        {},
		"v=TLSRPTv1":                         {},
		"v=TLSRPTv2; rua=mailto:a@b.example": {},
		"rua=mailto:a@b.example; v=TLSRPTv1": {},
		"v=TLSRPTv1; rua=" + strings.Repeat("mailto:a@b.example,", 9): {{Mail: "a@b.example"}, {Mail: "a@b.example"},
			{Mail: "a@b.example"}, {Mail: "a@b.example"}},
	} {
		got := append([]tlsrpt.Destination{}, tlsrpt.Destinations([]string{"v=spf1 -all", record})...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", record, diff)
		}
	}
	one := "v=TLSRPTv1; rua=mailto:a@b.example"
	if got := tlsrpt.Destinations([]string{one, one}); got != nil {
		t.Errorf("two records: got %v, want none", got)
	}
}

// Sessions that ended alike are one count; what finds no room is counted as lost.
func TestTally(t *testing.T) {
	t.Parallel()
	var tally tlsrpt.Tally
	at := time.Date(2026, 11, 25, 23, 59, 59, 0, time.FixedZone("", -3600)) // the 26th, in UTC
	p := tlsrpt.Policy{Type: tlsrpt.STS, Domain: "a.example", Strings: []string{strings.Repeat("x", 1000)}}
	tally.Note(at, "a.example", p, nil)
	tally.Note(at.Add(time.Hour), "a.example", p, nil)
	tally.Note(at, "a.example", p, &tlsrpt.Failure{Type: tlsrpt.Expired})
	first, _ := tally.Take()
	tally.PutBack(first)
	got, lost := tally.Take()
	if len(got) != 2 || lost != 0 || got[0].Sessions+got[1].Sessions != 3 ||
		!got[0].Day.Equal(time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got %+v, %d lost, want 2 and 1 sessions on the 26th", got, lost)
	}
	if n := len(got[0].Policy); n > 700 {
		t.Errorf("got a policy of %d octets, want what is long to be cut", n)
	}
	seen := map[string]int{}
	tally.Seen = func(policy, result string) { seen[policy+" "+result]++ }
	plain, failure := tlsrpt.Policy{Type: tlsrpt.NoPolicy, Domain: "a.example"}, &tlsrpt.Failure{Type: tlsrpt.NotOffered}
	for range 2 { // taken in between: what was counted before is not counted again
		for range 3 {
			tally.Note(at, "a.example", plain, nil)
			tally.Note(at, "a.example", plain, failure)
			tally.Note(at.Add(24*time.Hour), "a.example", plain, failure)
		}
		got, _ := tally.Take()
		var each []int64
		for _, c := range got {
			each = append(each, c.Sessions)
		}
		if want := []int64{3, 3, 3}; !cmp.Equal(each, want) {
			t.Errorf("sessions under no policy: got %v, want %v", each, want)
		}
	}
	want := map[string]int{"no-policy-found successful": 6, "no-policy-found starttls-not-supported": 12}
	if !cmp.Equal(seen, want) {
		t.Errorf("seen: got %v, want %v", seen, want)
	}
	for i := range 50_010 {
		tally.Note(at, fmt.Sprintf("d%d.example", i), tlsrpt.Policy{Type: tlsrpt.NoPolicy}, nil)
	}
	if got, lost := tally.Take(); len(got) != 50_000 || lost != 10 {
		t.Errorf("got %d counts and %d lost, want 50000 and 10", len(got), lost)
	}
}
