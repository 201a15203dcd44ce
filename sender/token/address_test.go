package token_test

import (
	"math"
	"strings"
	"testing"

	"enotify/sender/token"
)

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, p := range []token.Purpose{token.Bounce, token.Unsubscribe, token.Complaint} {
		s := token.Subject{Batch: math.MaxInt64, Seq: math.MaxInt32}
		address := keys.Address(p, s, "bounce.town.example")
		if at := strings.IndexByte(address, '@'); at > 64 {
			t.Errorf("%s: a local part of %d octets, want at most 64 (RFC 5321 §4.5.3.1.1)", address, at)
		}
		for _, spelled := range []string{address, strings.ToUpper(address), address[:strings.IndexByte(address, '@')]} {
			gotP, text, ok := token.Split(spelled)
			if !ok || gotP != p {
				t.Errorf("Split(%s) = %q, %q, %t; want purpose %s", spelled, gotP, text, ok, p)
			}
			if got, err := keys.Open(gotP, text); err != nil || got != s {
				t.Errorf("Open(%s) = %+v, %v; want %+v", text, got, err, s)
			}
		}
	}
	for _, foreign := range []string{"", "@", "b@x.example", "b-@x.example", "info@x.example", "b-1-2@x.example",
		"b-1-2-3-4@x.example", "d-1-2-3@x.example"} {
		if p, text, ok := token.Split(foreign); ok {
			t.Errorf("Split(%q) = %q, %q; want none", foreign, p, text)
		}
	}
}

// Only what was signed is opened, whatever stands before the @.
func FuzzAddress(f *testing.F) {
	f.Add(keys.Address(token.Bounce, token.Subject{Batch: 42, Seq: 7}, "bounce.town.example"))
	f.Add("b-1-aaaa-bbbb@x.example")
	f.Add("u-2--@")
	f.Fuzz(func(t *testing.T, address string) {
		p, text, ok := token.Split(address)
		if !ok {
			return
		}
		s, err := keys.Open(p, text)
		if err != nil {
			return
		}
		local := address[:max(0, strings.LastIndexByte(address, '@'))]
		for _, k := range []token.Keys{keys, keys[1:]} {
			if strings.EqualFold(k.Address(p, s, ""), local+"@") ||
				strings.EqualFold(k.Address(p, s, ""), address+"@") {
				return
			}
		}
		t.Errorf("Split and Open of %q = %s %+v, which nobody signed so", address, p, s)
	})
}
