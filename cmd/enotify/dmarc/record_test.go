package dmarc

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseDMARC(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want Record
		err  error
	}{
		{text: "v=DMARC1; p=reject", want: Record{Policy: "reject", Stated: true, SPF: "r", DKIM: "r", PSD: "u"}},
		{text: " v = DMARC1 ;p= Quarantine;;",
			want: Record{Policy: "quarantine", Stated: true, SPF: "r", DKIM: "r", PSD: "u"}},
		{text: "v=DMARC1; rua=mailto:a@b.test!10m,https://c.test",
			want: Record{Policy: "none", SPF: "r", DKIM: "r", PSD: "u",
				RUA: []string{"mailto:a@b.test", "https://c.test"}}},
		{text: "v=DMARC1; p=rejct; adkim=s; aspf=S; psd=y; ri=50; x=y",
			want: Record{Policy: "none", SPF: "s", DKIM: "s", PSD: "y",
				Faults: []string{"p=rejct is none of none, quarantine, reject",
					"ri is no longer a DMARC tag (RFC 9989): newer receivers ignore it; take it out"}}},
		{text: "v=DMARC1; p=reject; sp=quarantine; np=none; t=y",
			want: Record{Policy: "reject", Stated: true, Subdomains: "quarantine",
				NonExistent: "none", Testing: true, SPF: "r", DKIM: "r", PSD: "u"}},
		{text: "v=DMARC1; p=none; p=reject; nonsense",
			want: Record{Policy: "none", Stated: true, SPF: "r", DKIM: "r", PSD: "u",
				Faults: []string{"the tag p is there twice", `"nonsense" has no =`}}},
		{text: "v=dmarc1; p=none", err: ErrNoRecord},
		{text: "p=none; v=DMARC1", err: ErrNoRecord},
		{text: "v=DMARC10", err: ErrNoRecord},
		{text: "", err: ErrNoRecord},
	} {
		got, err := Parse(c.text)
		if !errors.Is(err, c.err) {
			t.Errorf("%q: got error %v, want %v", c.text, err, c.err)
			continue
		}
		if c.want.Text = c.text; err == nil && !cmp.Equal(got, c.want) {
			t.Errorf("%q (-want +got):\n%s", c.text, cmp.Diff(c.want, got))
		}
	}
}

// At most eight questions, whatever the length (RFC 9989 §4.10).
func TestWalkTargets(t *testing.T) {
	t.Parallel()
	for domain, want := range map[string][]string{
		"example.com":        {"example.com", "com"},
		"a.mail.example.com": {"a.mail.example.com", "mail.example.com", "example.com", "com"},
		"1.2.3.4.5.6.7.8": {"1.2.3.4.5.6.7.8", "2.3.4.5.6.7.8", "3.4.5.6.7.8", "4.5.6.7.8", "5.6.7.8", "6.7.8",
			"7.8", "8"},
		"a.b.c.1.2.3.4.5.6.7.8": {"a.b.c.1.2.3.4.5.6.7.8", "2.3.4.5.6.7.8", "3.4.5.6.7.8", "4.5.6.7.8", "5.6.7.8",
			"6.7.8", "7.8", "8"},
	} {
		if got := walkTargets(domain); !cmp.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", domain, got, want)
		}
	}
}

// The Organizational Domain and the policy that applies, by what is published.
func TestTreeWalk(t *testing.T) {
	t.Parallel()
	none := "v=DMARC1; p=none"
	for _, c := range []struct {
		name      string
		zone      map[string]string
		from      string
		org       string
		applies   string // domain of the record that does; "" is none
		questions int
	}{
		{"own and parent", map[string]string{"mail.example.com": none, "example.com": none}, "mail.example.com",
			"example.com", "mail.example.com", 3},
		{"parent alone", map[string]string{"example.com": none}, "a.b.example.com", "example.com", "example.com", 4},
		{"psd=n ends the walk", map[string]string{"b.example.com": "v=DMARC1; psd=n", "example.com": none},
			"a.b.example.com", "b.example.com", "b.example.com", 2},
		{"below psd=y", map[string]string{"bank": "v=DMARC1; psd=y; p=reject"}, "mail.giant.bank", "giant.bank", "bank",
			3},
		{"psd=y where it starts", map[string]string{"bank": "v=DMARC1; psd=y"}, "bank", "bank", "bank", 1},
		{"own record under psd=y", map[string]string{"giant.bank": none, "bank": "v=DMARC1; psd=y"}, "giant.bank",
			"giant.bank", "giant.bank", 2},
		{"nothing: the public suffix list", nil, "a.b.example.co.uk", "example.co.uk", "", 5},
		{"a public suffix itself", nil, "co.uk", "co.uk", "", 2},
	} {
		questions := 0
		walk, err := Walk(t.Context(), c.from, func(_ context.Context, name string) ([]string, error) {
			questions++
			if text, ok := c.zone[name[len("_dmarc."):]]; ok {
				return []string{"unrelated", text}, nil
			}
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := Organizational(c.from, walk); got != c.org {
			t.Errorf("%s: organizational domain: got %s, want %s", c.name, got, c.org)
		}
		if p, _ := Policy(c.from, walk); p.Domain != c.applies {
			t.Errorf("%s: record: got that of %q, want %q", c.name, p.Domain, c.applies)
		}
		if questions != c.questions {
			t.Errorf("%s: got %d questions, want %d", c.name, questions, c.questions)
		}
	}
}

func TestAligned(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, other, mode string
		want              bool
	}{
		{"example.com", "example.com", "s", true},
		{"example.com", "b.example.com", "r", true},
		{"example.com", "b.example.com", "s", false},
		{"a.example.com", "b.example.com", "r", true},
		{"example.com", "example.net", "r", false},
		{"a.github.io", "b.github.io", "r", false}, // by the public suffix list
	} {
		if got := Aligned(c.from, c.other, Organizational(c.from, nil), Organizational(c.other, nil),
			c.mode); got != c.want {
			t.Errorf("%s and %s, %s: got %v", c.from, c.other, c.mode, got)
		}
	}
}

// The policy for a domain follows from sp, np and t of the record that applies.
func TestPolicyForADomain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tags, domain string
		exists       bool
		want         string
	}{
		{"p=reject", "example.com", true, "reject"},
		{"p=reject", "a.example.com", true, "reject"},
		{"p=reject; sp=none", "example.com", true, "reject"},
		{"p=reject; sp=none", "a.example.com", true, "none"},
		{"p=none; sp=quarantine; np=reject", "a.example.com", true, "quarantine"},
		{"p=none; sp=quarantine; np=reject", "a.example.com", false, "reject"},
		{"p=none; np=reject", "example.com", false, "none"},
		{"p=reject; t=y", "example.com", true, "quarantine"},
		{"p=quarantine; t=y", "example.com", true, "none"},
		{"p=none; t=y", "example.com", true, "none"},
		{"p=reject; t=n", "example.com", true, "reject"},
	} {
		r, err := Parse("v=DMARC1; " + c.tags)
		if err != nil {
			t.Fatal(err)
		}
		if got := (Found{"example.com", r}).For(c.domain, c.exists); got != c.want {
			t.Errorf("%s for %s (exists: %v): got %s, want %s", c.tags, c.domain, c.exists, got, c.want)
		}
	}
}
