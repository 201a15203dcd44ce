package figures_test

import (
	"testing"
	"time"

	"enotify/cmd/enotify/figures"
)

var noon = time.Date(2030, 5, 1, 12, 0, 0, 0, time.UTC)

func TestMomentIn(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for text, want := range map[string]time.Time{
		"2h":                        noon.Add(2 * time.Hour),
		"90m":                       noon.Add(90 * time.Minute),
		"1h30m":                     noon.Add(90 * time.Minute),
		"0s":                        noon,
		"3d":                        noon.Add(3 * day),
		"1w":                        noon.Add(7 * day),
		"1w2d12h":                   noon.Add(9*day + 12*time.Hour),
		"2030-05-02T08:00:00Z":      noon.Add(20 * time.Hour),
		"2030-05-02T10:00:00+02:00": noon.Add(20 * time.Hour),
		"2001-01-01T00:00:00Z":      time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), // the caller knows what it is for
	} {
		if got, err := figures.ParseMoment(text, noon); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v and %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "2", "d", "-2h", "+2h", "1d-2h", "2d3", "1d2w", "tomorrow", "2030-05-02",
		"99999d", "300000h3000000h", "1.5d"} {
		if got, err := figures.ParseMoment(text, noon); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func FuzzParseSpan(f *testing.F) {
	for _, seed := range []string{"2h", "3d", "1w2d12h", "-1h", "65535w65535d2562047h", "1d1d", "wd", "1e9h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := figures.ParseSpan(text); err == nil && d < 0 {
			t.Errorf("%q: got %v, want no time in the past", text, d)
		}
	})
}
