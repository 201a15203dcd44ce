package window_test

import (
	"testing"
	"time"

	"enotify/queue/window"
)

func read(t *testing.T, spec string) *window.Window {
	t.Helper()
	w, err := window.Read(spec)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Over a year, the span that Next gives is as clocks in the zone show it: open from
// its start to its end, closed before and after. Clocks are set, by an hour and by
// half an hour, twice an hour is skipped in the middle of a span, and Apia skips a day.
func TestNextOverAYear(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		spec string
		year int
	}{
		{"Mon-Fri 08:00-20:00 Europe/Berlin", 2026},
		{"Mon-Sun 01:30-02:30 Europe/Berlin", 2026},
		{"Sun 02:10-02:50 Europe/Berlin", 2026},
		{"Sat-Sun 22:00-03:15, Wed 00:00-24:00 America/New_York", 2026},
		{"Sun 01:45-02:15 Australia/Lord_Howe", 2026},
		{"Mon-Sun 00:00-12:00 Australia/Lord_Howe", 2026},
		{"Fri 10:00-11:00, Sun 00:00-01:00 Pacific/Apia", 2011},
		{"Mon,Wed,Fri 23:30-00:30 Pacific/Apia", 2026},
		{"Mon-Sun 00:00-24:00 UTC", 2026},
		{"Mon-Fri 08:00-20:00 Africa/Monrovia", 1971}, // 44 min 30 s behind UTC
	} {
		w := read(t, c.spec)
		end := time.Date(c.year+1, 1, 1, 0, 0, 0, 0, time.UTC)
		spans := 0
		for at := time.Date(c.year, 1, 1, 0, 0, 0, 0, time.UTC); at.Before(end); spans++ {
			s, ok := w.Next(at)
			if !ok {
				t.Fatalf("%s: never opens after %v", c.spec, at)
			}
			for m := at; m.Before(s.Closes); m = m.Add(5 * time.Minute) {
				if got, want := shows(t, w, c.spec, m), !m.Before(s.Opens); got != want {
					t.Fatalf("%s at %v: open by the clock: got %v, want %v: the span is %v to %v", c.spec,
						m.In(w.Zone()), got, want, s.Opens, s.Closes)
				}
			}
			if !w.Open(s.Closes.Add(-time.Nanosecond)) || !w.Open(s.Opens) {
				t.Errorf("%s: closed within %v to %v", c.spec, s.Opens, s.Closes)
			}
			if at = s.Closes; w.Open(at) && s.Closes.Sub(s.Opens) < 7*24*time.Hour {
				t.Errorf("%s: still open at its end %v", c.spec, at.In(w.Zone()))
			}
		}
		if spans < 16 {
			t.Errorf("%s: got %d spans in a year", c.spec, spans)
		}
	}
}

// shows says whether a window is open by what its zone's clock shows, worked out
// from the parts of the date.
func shows(t *testing.T, w *window.Window, spec string, at time.Time) bool {
	t.Helper()
	utc := at.In(w.Zone()).Format("Mon 15:04")
	day, minute := utc[:3], utc[4:]
	for _, s := range hours[spec] {
		if s.day == day && minute >= s.from && minute < s.to {
			return true
		}
	}
	return false
}

type hour struct{ day, from, to string }

func daily(from, to string, days ...string) (all []hour) {
	for _, d := range days {
		all = append(all, hour{d, from, to})
	}
	return all
}

var hours = map[string][]hour{
	"Mon-Fri 08:00-20:00 Europe/Berlin":   daily("08:00", "20:00", "Mon", "Tue", "Wed", "Thu", "Fri"),
	"Mon-Fri 08:00-20:00 Africa/Monrovia": daily("08:00", "20:00", "Mon", "Tue", "Wed", "Thu", "Fri"),
	"Mon-Sun 01:30-02:30 Europe/Berlin": daily("01:30", "02:30", "Mon", "Tue", "Wed", "Thu", "Fri",
		"Sat", "Sun"),
	"Sun 02:10-02:50 Europe/Berlin": {{"Sun", "02:10", "02:50"}},
	"Sat-Sun 22:00-03:15, Wed 00:00-24:00 America/New_York": {{"Sat", "22:00", "24:00"}, {"Sun", "00:00", "03:15"},
		{"Sun", "22:00", "24:00"}, {"Mon", "00:00", "03:15"}, {"Wed", "00:00", "24:00"}},
	"Sun 01:45-02:15 Australia/Lord_Howe": {{"Sun", "01:45", "02:15"}},
	"Mon-Sun 00:00-12:00 Australia/Lord_Howe": daily("00:00", "12:00", "Mon", "Tue", "Wed", "Thu", "Fri",
		"Sat", "Sun"),
	"Fri 10:00-11:00, Sun 00:00-01:00 Pacific/Apia": {{"Fri", "10:00", "11:00"}, {"Sun", "00:00", "01:00"}},
	"Mon,Wed,Fri 23:30-00:30 Pacific/Apia": {
		{"Mon", "23:30", "24:00"}, {"Tue", "00:00", "00:30"}, {"Wed", "23:30", "24:00"}, {"Thu", "00:00", "00:30"},
		{"Fri", "23:30", "24:00"}, {"Sat", "00:00", "00:30"}},
	"Mon-Sun 00:00-24:00 UTC": daily("00:00", "24:00", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
}

// What comes of an hour that does not exist, of one that comes twice, and of a day
// that was skipped.
func TestClocksThatAreSet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, spec, at, opens, closes string }{
		{"the span is skipped whole", "Sun 02:10-02:50 Europe/Berlin", "2026-03-28T12:00:00Z", "2026-04-05T00:10:00Z",
			"2026-04-05T00:50:00Z"},
		{"its start is skipped", "Sun 02:30-04:00 Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z",
			"2026-03-29T02:00:00Z"},
		{"the hour comes twice", "Sun 02:00-03:00 Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:00:00Z",
			"2026-10-25T02:00:00Z"},
		{"part of it comes twice", "Sun 01:00-02:30 Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-24T23:00:00Z",
			"2026-10-25T00:30:00Z"},
		{"the second time", "Sun 01:00-02:30 Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z",
			"2026-10-25T01:30:00Z"},
		{"half an hour is skipped", "Sun 02:00-02:45 Australia/Lord_Howe", "2026-10-03T12:00:00Z",
			"2026-10-03T15:30:00Z", "2026-10-03T15:45:00Z"},
		{"the day is skipped", "Fri 10:00-11:00 Pacific/Apia", "2011-12-29T12:00:00Z", "2012-01-05T20:00:00Z",
			"2012-01-05T21:00:00Z"},
		{"over midnight, at the end of the week", "Sun 23:00-01:00 America/New_York", "2026-01-05T04:30:00Z",
			"2026-01-05T04:30:00Z", "2026-01-05T06:00:00Z"},
	} {
		at, _ := time.Parse(time.RFC3339, c.at)
		s, ok := read(t, c.spec).Next(at)
		if got, want := s.Opens.UTC().Format(time.RFC3339)+" "+s.Closes.UTC().Format(time.RFC3339), c.opens+" "+
			c.closes; !ok || got != want {
			t.Errorf("%s: got %s, want %s", c.name, got, want)
		}
	}
}

// Text that the schema did not write is an error, and no window that is never open.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{"", "Europe/Berlin", "Mon 08:00-20:00", "Mon 08:00-20:00 Europe/Atlantis",
		"Foo 08:00-20:00 UTC", "Mon 8:00-20:00 UTC", "08:00-20:00 UTC"} {
		if w, err := window.Read(spec); err == nil {
			t.Errorf("%q: got %v, want an error", spec, w)
		}
	}
}
