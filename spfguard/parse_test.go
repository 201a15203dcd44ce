package spfguard_test

import (
	"errors"
	"strings"
	"testing"

	"enotify/spfguard"
)

// valid records, with the shortest form that means the same.
var valid = []struct{ text, short string }{
	{"v=spf1", "v=spf1"},
	{"V=SPF1  +A   -ALL ", "v=spf1 a -all"},
	{"v=spf1 a/0 a//0 a/32//128 mx/24//64 a:h.example/8", "v=spf1 a/0 a//0 a mx/24//64 a:h.example/8"},
	{"v=spf1 a:foo:bar/baz.example.com/24", "v=spf1 a:foo:bar/baz.example.com/24"},
	{"v=spf1 a:example.com.", "v=spf1 a:example.com."},
	{"v=spf1 a:x.1-2 a:x.xn--zckzah", "v=spf1 a:x.1-2 a:x.xn--zckzah"},
	{"v=spf1 a:.com", "v=spf1 a:.com"},
	{"v=spf1 a:_x%%", "v=spf1 a:_x%%"},
	{"v=spf1 a:a%_.com exists:a%-", "v=spf1 a:a%_.com exists:a%-"},
	{"v=spf1 exists:%{ir}.%{v}._spf.%{d2}", "v=spf1 exists:%{ir}.%{v}._spf.%{d2}"},
	{"v=spf1 exists:%{L1R+-=/}.x.example", "v=spf1 exists:%{L1R+-=/}.x.example"},
	{"v=spf1 exists:%{d999999999999999999999}", "v=spf1 exists:%{d999999999999999999999}"},
	{"v=spf1 ip4:192.0.2.1/32 ip4:192.0.2.77/24 ip6:2001:DB8::1/128",
		"v=spf1 ip4:192.0.2.1 ip4:192.0.2.77/24 ip6:2001:db8::1"},
	{"v=spf1 ip6:::FFFF:1.2.3.4 ip6:::/0", "v=spf1 ip6:::ffff:1.2.3.4 ip6:::/0"},
	{"v=spf1 ?include:x.example ~ptr ptr:x.example", "v=spf1 ?include:x.example ~ptr ptr:x.example"},
	{"v=spf1 REDIRECT=x.example Exp=%{d}", "v=spf1 redirect=x.example exp=%{d}"},
	{"v=spf1 moo= moo=%{d}/x:y moo=1 ip4=192.0.2.1 a.b-c_d=e",
		"v=spf1 moo= moo=%{d}/x:y moo=1 ip4=192.0.2.1 a.b-c_d=e"},
}

func TestParseValid(t *testing.T) {
	t.Parallel()
	for _, tt := range valid {
		rec, err := spfguard.Parse(tt.text)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		if got := rec.String(); got != tt.short {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.short)
		}
		for _, term := range rec.Terms {
			if got := tt.text[term.Pos : term.Pos+len(term.Text)]; got != term.Text {
				t.Errorf("%q: term %q is said to stand where %q stands", tt.text, term.Text, got)
			}
		}
	}
}

// invalid terms: each makes any record that holds it a permerror.
var invalid = []string{
	"moo", "-", "+", "++all", "=all", "1up=x", "a=:%", "all:", "all/8", "all.", "al", "ipv4:192.0.2.1", "ip:192.0.2.1",
	"ip4", "ip4:", "ip4:192.0.2", "ip4:192.0.2.1.", "ip4:192.0.2.01", "ip4:192.0.2.256", "ip4:192.0.2.1/33",
	"ip4:192.0.2.1/032",
	"ip4:192.0.2.1/", "ip4:192.0.2.1//32", "ip4:192.0.2.1:25", "ip4:192.0.2.1-192.0.2.9", "ip4:2001:db8::1", "ip4/24",
	"ip4:%{i}",
	"ip6", "ip6:", "ip6:192.0.2.1", "ip6:2001:db8::/129", "ip6:2001:db8::/064", "ip6:fe80::1%eth0", "ip6::CAFE::BABE",
	"ip6:[2001:db8::1]",
	"a:", "a/", "a/33", "a/024", "a//129", "a/24/64", "a:/24", "a:museum", "a:museum.", "a:192.0.2.1", "a:x.123",
	"a:x.-com", "a:x.com-",
	"a:x..", "a:x.example:25", "a:x.example/24/64", "a:x.example/", "a24", "a:%{d}.", "a:%{d}com", "a:%{d}/24x",
	"a:x.ex,ample,",
	"mx:", "mx/33", "mx//129", "mx:museum", "ptr/24", "ptr:", "ptr:x.example/24", "exists", "exists:",
	"exists:x.example/24", "exists:%{d}//8",
	"include", "include:", "include:x.example/24", "include/24", "include=%", "redirect:x.example", "redirect=",
	"redirect=-all", "redirect=x",
	"exp=", "exp=-all", "exp=%{r}.example.com", "exists:%{c}.example.com", "exists:%{t}.x.example", "moo=%{c}",
	"a:%", "a:%a.example", "a:%{", "a:%{}", "a:%{x}.example", "a:%{d0}.example", "a:%{d00}", "a:%{dd}.example",
	"a:%{d1r2}", "a:%{d:}", "a:%{dr-r}", "a:%{d }",
	"a:%(d).example", "a:x%.example", "moo=%abc", "a\t-all", "\u00a0a", "\u2013all", "a\x00", "\x7f",
	"a:x.\x96.example",
}

func TestParseInvalid(t *testing.T) {
	t.Parallel()
	for _, term := range invalid {
		for _, text := range []string{"v=spf1 " + term, "v=spf1 ip4:192.0.2.1 -all " + term} {
			rec, err := spfguard.Parse(text)
			var syntax *spfguard.SyntaxError
			if !errors.As(err, &syntax) {
				t.Errorf("%q: got %v, %v, want a *SyntaxError", text, rec, err)
				continue
			}
			if first, _, _ := strings.Cut(term, " "); text[syntax.Pos:syntax.Pos+len(syntax.Term)] != first {
				t.Errorf("%q: got position %d of %q", text, syntax.Pos, syntax.Term)
			}
		}
	}
	for _, text := range []string{
		"", "v=spf10", "v=spf1\ta", "v=spf1a", " v=spf1", "v=spf1/a", "spf1 a",
		"v=spf1 redirect=a.example redirect=b.example", "v=spf1 exp=a.example EXP=a.example",
	} {
		if rec, err := spfguard.Parse(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, rec)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range valid {
		f.Add(v.text)
	}
	for _, term := range invalid {
		f.Add("v=spf1 " + term + " -all")
	}
	f.Fuzz(func(t *testing.T, text string) {
		rec, err := spfguard.Parse(text)
		if err != nil {
			return
		}
		short := rec.String()
		again, err := spfguard.Parse(short)
		if err != nil {
			t.Fatalf("%q is valid, its short form %q is not: %v", text, short, err)
		}
		if got := again.String(); got != short {
			t.Fatalf("%q: got %q, want %q to be stable", text, got, short)
		}
		for _, term := range rec.Terms {
			if text[term.Pos:term.Pos+len(term.Text)] != term.Text {
				t.Fatalf("%q: term %q is not at %d", text, term.Text, term.Pos)
			}
		}
	})
}
