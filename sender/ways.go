package sender

import (
	"sync"
	"time"
)

// ways remembers how mail is handed to each host: how much of it may leave before the host
// has answered. It begins with what every host with the extension bears, goes on to what
// this one has borne, and goes back at the first sign of trouble.
//
//   - A host with PIPELINING gets the envelope of the next message behind the final
//     dot of the one before (RFC 2920 §3.1).
//   - A host with CHUNKING too gets "BDAT 0" once, which costs a broken host nothing;
//     then each message in two steps; and since it has taken one, MAIL, RCPT, BDAT and
//     the message together (RFC 3030 §4.2).
//   - One that has taken many in that way gets the next before it has answered the
//     last, in a window that grows by one.
//
// What has left and is not answered when a connection breaks is in doubt, so
// the window is small.
type ways struct {
	mu    sync.Mutex
	hosts map[string]*way
}

// A way is what is known of a host. Times are those until which something is not
// done.
type way struct {
	noRide   time.Time // the next envelope behind the final dot
	noChunks time.Time // BDAT
	inSteps  time.Time // all of a message together
	rode     bool      // an envelope behind the final dot went well
	chunks   bool      // it knows BDAT
	took     bool      // it took a message by BDAT
	window   int       // messages that may be under way together; 0 is 1
	good     int       // messages since window changed
	breaks   int
	used     time.Time
}

const (
	// forWays is how long a host is not tried again that did not bear something.
	forWays = 6 * time.Hour

	maxWindow = 4
	growsBy   = 16 // good messages, before the window does

	// firstSteps is how long a host is spared after a connection broke with whole
	// messages under way; it doubles up to forWays.
	firstSteps = 10 * time.Minute

	maxWays = 10_000
)

// of finds or makes the way of a host. The caller has the lock.
func (w *ways) of(host string, now time.Time) *way {
	known := w.hosts[host]
	if known == nil {
		if w.hosts == nil {
			w.hosts = map[string]*way{}
		}
		if len(w.hosts) >= maxWays {
			for h, old := range w.hosts {
				if now.Sub(old.used) > forWays {
					delete(w.hosts, h)
				}
			}
		}
		known = &way{}
		w.hosts[host] = known
	}
	known.used = now
	return known
}

// look returns what is known of a host.
func (w *ways) look(host string, now time.Time) way {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *w.of(host, now)
}

// learn changes what is known of a host.
func (w *ways) learn(host string, change func(w *way, now time.Time)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	change(w.of(host, now), now)
}

func rode(w *way, _ time.Time) { w.rode = true }

func noRide(w *way, now time.Time) { w.noRide = now.Add(forWays) }

func knowsChunks(w *way, _ time.Time) { w.chunks = true }

func noChunks(w *way, now time.Time) { w.chunks, w.took, w.noChunks = false, false, now.Add(forWays) }

// tookChunks notes a message that was taken by BDAT.
func tookChunks(w *way, _ time.Time) {
	w.took = true
	if w.good++; w.good >= growsBy && w.window < maxWindow {
		w.good, w.window = 0, max(1, w.window)+1
	}
}

// broke notes that a connection broke, or the replies did not fit, while whole
// messages were under way.
func broke(w *way, now time.Time) {
	w.inSteps = now.Add(min(firstSteps<<min(w.breaks, 10), forWays))
	w.breaks++
	w.window, w.good = 1, 0
}
