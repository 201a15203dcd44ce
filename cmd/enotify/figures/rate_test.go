package figures_test

import (
	"testing"
	"time"

	"golang.org/x/time/rate"

	"enotify/cmd/enotify/figures"
	"enotify/queue"
)

func TestParseRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]queue.Rate{
		"10/s":         {Messages: 10, Per: time.Second},
		"1 / second":   {Messages: 1, Per: time.Second},
		"300/min":      {Messages: 300, Per: time.Minute},
		"300/m":        {Messages: 300, Per: time.Minute},
		"5000/h":       {Messages: 5000, Per: time.Hour},
		"100000/day":   {Messages: 100000, Per: 24 * time.Hour},
		"2147483647/d": {Messages: 2147483647, Per: 24 * time.Hour},
		"unlimited":    {Messages: 0, Per: time.Second},
	} {
		if got, err := figures.ParseRate(text); err != nil || got != want {
			t.Errorf("%q: got %+v and %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "10", "0/s", "-1/s", "1.5/s", "10/", "/s", "10/week", "10/s/s", "2147483648/s",
		"1e3/s", "Unlimited ", "10/ec"} {
		if got, err := figures.ParseRate(text); err == nil {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
}

func TestFormatRate(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"10/s", "300/min", "7/h", "100,000/day", "unlimited"} {
		r, err := figures.ParseRate(removeCommas(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := figures.FormatRate(r); got != text {
			t.Errorf("%+v: got %s, want %s", r, got, text)
		}
	}
	// set by SQL
	if got, want := figures.FormatRate(queue.Rate{Messages: 5, Per: 10 * time.Second}), "5/10s"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func removeCommas(text string) (s string) {
	for _, r := range text {
		if r != ',' {
			s += string(r)
		}
	}
	return s
}

func TestFormatLimit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		limit rate.Limit
		want  string
	}{
		{100, "100/s"}, {rate.Inf, "unlimited"}, {5.0 / 60, "5/min"}, {1.0 / 3600, "1/h"},
		{100000.0 / 86400, "100,000/day"}, {0.5, "30/min"},
		{1.0 / 86400 / 2, "0.5/day"},
	} {
		if got := figures.Rate(tt.limit); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.limit, got, tt.want)
		}
	}
}
