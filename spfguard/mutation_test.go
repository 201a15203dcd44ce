package spfguard_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"enotify/spfguard"
)

// TestFixKeepsEverySender spoils sound records by every kind of mistake. A fix
// lets every sender of the sound record pass, and ours; lint has nothing to say
// about it. Where a sender cannot be told, the fix asks.
func TestFixKeepsEverySender(t *testing.T) {
	t.Parallel()
	for i, s := range spoilings {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(14, uint64(i)))
			tried := 0
			for _, record := range sound {
				if records, ok := s.spoil(r, strings.Fields(record)); ok {
					tried++
					checkSpoilt(t, record, records, s.sure)
				}
			}
			if tried == 0 {
				t.Error("no record has a place for this mistake")
			}
		})
	}
}

// TestFixKeepsEverySenderOfTwoMistakes spoils records twice: then a fix may
// well have to ask.
func TestFixKeepsEverySenderOfTwoMistakes(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(14, 2026))
	for range 150 {
		record := sound[r.IntN(len(sound))]
		first, second := spoilings[r.IntN(len(spoilings))], spoilings[r.IntN(len(spoilings))]
		records, ok := first.spoil(r, strings.Fields(record))
		if !ok || len(records) > 1 || len(strings.Fields(records[0])) < 3 {
			continue
		}
		if records, ok = second.spoil(r, strings.Fields(records[0])); ok {
			checkSpoilt(t, record, records, false)
		}
	}
}

// checkSpoilt has records repaired, and compares who may send with the sound
// record.
func checkSpoilt(t *testing.T, record string, records []string, sure bool) {
	t.Helper()
	z := mutantZone()
	z.txt[mutant] = records
	c := &spfguard.Checker{Resolver: z}
	fix, err := c.Fix(t.Context(), spfguard.FixQuery{Domain: mutant, Egress: ours})
	var doubt *spfguard.DoubtError
	switch {
	case errors.As(err, &doubt) && len(doubt.Questions) > 0:
		if sure {
			t.Errorf("%q: got questions %q, want a record", records, doubt.Questions)
		}
		if doubt.IfGone == nil {
			return
		}
		fix = doubt.IfGone
	case err != nil:
		t.Errorf("%q: %v", records, err)
		return
	}
	passes := func(record string, ip netip.Addr) (loose, strict bool) {
		q := spfguard.Query{IP: ip, Domain: mutant, Sender: "a@" + mutant, HELO: "mta." + mutant, Record: record}
		return c.Check(t.Context(), q).Result == spfguard.Pass, c.Strict(t.Context(), q).Result == spfguard.Pass
	}
	for _, ip := range ours {
		if loose, strict := passes(fix.After, ip); !loose || !strict {
			t.Errorf("%q: %s passes %v, and at strict receivers %v, under %q", records, ip, loose, strict, fix.After)
		}
	}
	for _, ip := range everyone(z) {
		if before, _ := passes(record, ip); !before {
			continue
		}
		if after, _ := passes(fix.After, ip); !after {
			t.Errorf("%q: %s, a sender of %q, is lost under %q", records, ip, record, fix.After)
		}
	}
	for _, stranger := range []string{"192.0.2.1", "2001:db8:dead::1"} {
		if loose, _ := passes(fix.After, netip.MustParseAddr(stranger)); loose {
			t.Errorf("%q: a stranger passes under %q", records, fix.After)
		}
	}
	_, found, err := c.Lint(t.Context(), mutant, fix.After, ours...)
	if err != nil {
		t.Errorf("%q: lint: %v", fix.After, err)
	}
	for _, f := range found {
		asked := slices.ContainsFunc(fix.Open, func(q string) bool { return strings.Contains(q, f.Text) })
		if f.Severity == spfguard.Error || f.Severity == spfguard.Warning && !asked {
			t.Errorf("%q is repaired to %q, which lint faults: %s %q", records, fix.After, f.Message, f.Remedy)
		}
	}
	if !fix.Changed() || len(fix.Changes) == 0 {
		t.Errorf("%q: nothing was changed, or nothing said: %q", records, fix.Changes)
	}
}

// TestLintHasNoFalseAlarm reads sound records, in the DNS and as text.
func TestLintHasNoFalseAlarm(t *testing.T) {
	t.Parallel()
	z := mutantZone()
	c := &spfguard.Checker{Resolver: z}
	for _, record := range append(slices.Clone(sound), goodRecords...) {
		for _, f := range spfguard.LintText(record, mutant) {
			if f.Severity != spfguard.Info {
				t.Errorf("%q: got %s %s %q, want nothing", record, f.Severity, f.Rule, f.Message)
			}
		}
	}
	for _, record := range sound {
		_, found, err := c.Lint(t.Context(), mutant, record)
		if err != nil {
			t.Error(err)
		}
		for _, f := range found {
			if f.Severity != spfguard.Info {
				t.Errorf("%q: got %s %s %q, want nothing", record, f.Severity, f.Rule, f.Message)
			}
		}
		fix, err := c.Fix(
			t.Context(),
			spfguard.FixQuery{
				Domain: mutant,
				Record: record,
				Egress: []netip.Addr{netip.MustParseAddr("198.18.1.1")},
			},
		)
		if err != nil {
			t.Errorf("%q: %v", record, err)
		} else if want := strings.Fields(record); len(strings.Fields(fix.After)) > len(want)+1 {
			t.Errorf("%q: got %q, want at most one term more", record, fix.After)
		}
	}
}

// goodRecords have every form that the grammar of RFC 7208 §12 allows.
var goodRecords = []string{
	"v=spf1 -all", "v=spf1 ~all", "V=SPF1 Include:_SPF.Google.com ~ALL", "v=spf1 a -all", "v=spf1 a/24 mx/24 -all",
	"v=spf1 a//64 mx/24//64 -all", "v=spf1 a:example.com. -all",
	"v=spf1 a:mail.example.com/28 mx:example.com/24//96 " +
		"-all", "v=spf1 +a +mx -all", "v=spf1 exists:%{ir}.%{v}._spf.%{d2} -all",
	"v=spf1 include:%{d}.spf.has.pphosted.com ~all",
	"v=spf1 redirect=_spf.mail.ru", "v=spf1 redirect=%{d}._spf.example.com", "v=spf1 mx exp=explain._spf.%{d} -all",
	"v=spf1 mx -all exp=why.example.com", "v=spf1 include:_spf-a.example.com " +
		"include:_spf_b.example.com -all",
	"v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.1/32 ip6:2001:db8::/32 ip6:2001:db8:1::1 " +
		"-all", "v=spf1 ip6:::1.2.3.0/120 -all", "v=spf1 -ip4:192.0.2.1 ip4:192.0.2.0/24 ?mx ~all",
	"v=spf1 include:123456.spf01.hubspotemail.net include:u1234567.wl123.sendgrid.net " +
		"-all", "v=spf1 a:mail-1.example.co.uk a:xn--bcher-kva.example -all",
	"v=spf1 mx include:all.example.com include:mx.example.com -all",
	"v=spf1 include:ip4.example.com include:include.example.com a:a.example " +
		"-all", "v=spf1   mx   -all  ", "v=spf1 exists:%{l}.%{d}.all._spf.example.com " +
		"-all", "v=spf1 include:spf.1and1.com a:12.34.example -all",
	"v=spf1 include:_spf.smtp-all.example -all", "v=spf1 a:mail.example.photography include:spf.example.museum ?all",
}

// Every kind of mistake is found by lint, and without the DNS.
func TestLintFindsEveryMistake(t *testing.T) {
	t.Parallel()
	needDNS := []string{
		"an include of",
		"an include that loops",
		"a mistyped service",
		"two records",
		"the same record twice",
		"torn into",
		"capitals",
	}
	for i, s := range spoilings {
		if slices.ContainsFunc(needDNS, func(name string) bool { return strings.HasPrefix(s.name, name) }) {
			continue
		}
		r := rand.New(rand.NewPCG(15, uint64(i)))
		for _, record := range sound {
			records, ok := s.spoil(r, strings.Fields(record))
			if !ok || records[0] == record || strings.Join(strings.Fields(records[0]), " ") == record {
				continue
			}
			_, err := spfguard.Parse(records[0])
			found := spfguard.LintText(records[0], mutant)
			faults := slices.DeleteFunc(
				slices.Clone(found),
				func(f spfguard.Finding) bool { return f.Severity == spfguard.Info },
			)
			if len(faults) == 0 && !strings.EqualFold(records[0], record) && err != nil {
				t.Errorf("%s: %q: lint finds nothing", s.name, records[0])
			}
			for _, f := range faults {
				if f.Message == "" || f.Remedy == "" {
					t.Errorf("%s: %q: a finding without words: %+v", s.name, records[0], f)
				}
				for _, example := range []string{"192.0.2.", "2001:db8::/32", "example.com"} {
					if strings.Contains(f.Remedy, example) && !strings.Contains(records[0], example) {
						t.Errorf(
							"%s: %q: the remedy %q has an example that people will paste",
							s.name,
							records[0],
							f.Remedy,
						)
					}
				}
			}
		}
	}
}
