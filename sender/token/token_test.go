package token_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"enotify/sender/token"
)

var keys = token.Keys{{ID: "2", Secret: []byte(strings.Repeat("new", 11))},
	{ID: "1", Secret: []byte(strings.Repeat("old", 11))}}

func TestTokens(t *testing.T) {
	t.Parallel()
	for _, s := range []token.Subject{{}, {Batch: 1, Seq: 1}, {Batch: 42, Seq: 1_000_000},
		{Batch: math.MaxInt64, Seq: math.MaxInt32}} {
		for _, k := range []token.Keys{keys, keys[1:]} { // the older one is good still
			text := k.Mint(token.Bounce, s)
			if len(text) > 48 {
				t.Errorf("%+v: %s has %d octets; want at most 48", s, text, len(text))
			}
			for _, spelled := range []string{text, strings.ToUpper(text)} {
				if got, err := keys.Open(token.Bounce, spelled); err != nil || got != s {
					t.Errorf("Open(%s) = %+v, %v; want %+v", spelled, got, err, s)
				}
			}
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	good := keys.Mint(token.Bounce, token.Subject{Batch: 42, Seq: 7})
	other := keys.Mint(token.Bounce, token.Subject{Batch: 42, Seq: 8})
	parts, others := strings.Split(good, "-"), strings.Split(other, "-")
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"empty":                 {"", token.ErrMalformed},
		"no signature":          {parts[0] + "-" + parts[1], token.ErrMalformed},
		"a part too many":       {good + "-x", token.ErrMalformed},
		"not base32":            {parts[0] + "-0189-" + parts[2], token.ErrMalformed},
		"a name too long":       {parts[0] + "-" + strings.Repeat("7", 40) + "-" + parts[2], token.ErrMalformed},
		"a key we lack":         {"9-" + parts[1] + "-" + parts[2], token.ErrUnknownKey},
		"another key":           {"1-" + parts[1] + "-" + parts[2], token.ErrForged},
		"another's name":        {parts[0] + "-" + others[1] + "-" + parts[2], token.ErrForged},
		"cut":                   {good[:len(good)-1], token.ErrForged},
		"another purpose":       {keys.Mint(token.Unsubscribe, token.Subject{Batch: 42, Seq: 7}), token.ErrForged},
		"another spelling of 7": {parts[0] + "-" + "fkdqa" + "-" + parts[2], token.ErrForged}, // 42, 0x87 0x00
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s, err := keys.Open(token.Bounce, c.text); !errors.Is(err, c.want) {
				t.Errorf("Open(%s) = %+v, %v; want %v", c.text, s, err, c.want)
			}
		})
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(keys.Mint(token.Bounce, token.Subject{Batch: 42, Seq: 7}))
	f.Add("1-aaaa-bbbb")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := keys.Open(token.Bounce, text)
		if err == nil && !strings.EqualFold(keys.Mint(token.Bounce, s), text) &&
			!strings.EqualFold(keys[1:].Mint(token.Bounce, s), text) {
			t.Errorf("Open(%q) = %+v, which nobody signed so", text, s)
		}
	})
}
