package destinations_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/destinations"
	"enotify/cmd/enotify/term"
	"enotify/queue/queuetest"
	"enotify/sender/throttle"
)

var seconds = regexp.MustCompile(`\(in \d+ s\)`)

var times = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z0-9+-]+`)

func TestMain(m *testing.M) { queuetest.Main(m) }

// What the nodes have learned of a site, in words, and what to type next.
func TestLearned(t *testing.T) {
	t.Parallel()
	at := time.Now().Truncate(time.Second)
	for name, test := range map[string]struct {
		state       throttle.State
		short, said string
	}{
		"closed, few connections, slow": {
			throttle.State{Pace: throttle.Pace{
				Ceiling: 3, ProbeAt: at.Add(10 * time.Minute), Rate: 8, RateCeiling: 10,
				RateProbeAt: at.Add(-time.Minute),
				Refusals:    2, ClosedUntil: at.Add(30 * time.Second), Why: "421 4.7.28 Too \x1b[2Jfast", WhyAt: at,
			}},
			"closed until TIME",
			`google is closed to us until TIME (in SECONDS): it refused 2 messages in a row. Then one message is sent as a probe.
google bears 3 connections at once: it refused one more. Another one is tried after TIME (in 10 min).
google gets 8 messages/s: it asked for fewer than 10 messages/s. More is tried when there is more mail for it.
It said at TIME: 421 4.7.28 Too \x1b[2Jfast

Next
  enotify destination reset google --learned   # forgets this: tries it again at once
  enotify destination set google --connections 3 --rate 480/min   # makes it the limit
`},
		"open again": {
			throttle.State{Pace: throttle.Pace{Refusals: 1, ClosedUntil: at.Add(-time.Minute)}},
			"",
			`google has refused 1 message in a row: one message at a time is sent as a probe, until it takes one.

Next
  enotify destination reset google --learned   # forgets this: tries it again at once
  enotify destination set google --connections 5 --rate unlimited   # makes it the limit
`},
		"more than at first": {
			throttle.State{Bears: 7},
			"",
			`google has answered well on 7 connections at once: a node that starts opens as many, if there is mail for them.
`},
		"holds": {
			throttle.State{Holds: []throttle.Hold{
				{Egress: "192.0.2.1", Times: 2, Until: at.Add(30 * time.Minute), At: at, Reply: "550 5.7.1 Blocked"},
				{Egress: "192.0.2.2", Times: 1, Until: at.Add(-time.Minute), At: at.Add(-time.Hour),
					Reply: "550 5.7.1 Listed"},
			}},
			"blocks 192.0.2.1 until TIME",
			`google blocks 192.0.2.1: nothing is sent from there until TIME (in 30 min), the 2nd hold in a row. It said at TIME: 550 5.7.1 Blocked
google blocked 192.0.2.2 until TIME; then one message is sent as a probe. It said at TIME: 550 5.7.1 Listed

Next
  enotify destination reset google --learned   # when the cause is cured (delisted): tries it again at once
`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := queuetest.NewFixture(t)
			test.state.At = at
			state, err := json.Marshal(test.state)
			if err != nil {
				t.Fatal(err)
			}
			f.Exec(`INSERT INTO enotify.pace (kind, name, domain, version, state, updated_at) VALUES ('site', 'google', 'gmail.com', 1, $1, $2)`, state, at)
			short, err := destinations.Learned(t.Context(), f.DB)
			if err != nil {
				t.Fatal(err)
			}
			if got := times.ReplaceAllString(short["google"], "TIME"); got != test.short {
				t.Errorf("in short: got %q, want %q", got, test.short)
			}
			r, err := destinations.Show(t.Context(), f.DB, "google", at)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			p := term.NewPage(&got, false, at)
			r.Lay(p)
			if err := p.Flush(); err != nil {
				t.Fatal(err)
			}
			_, said, _ := strings.Cut(got.String(), "\nLearned\n")
			if diff := cmp.Diff(test.said,
				seconds.ReplaceAllString(times.ReplaceAllString(said, "TIME"), "(in SECONDS)")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
