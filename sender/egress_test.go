package sender_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender"
	"enotify/sender/smtptest"
)

const blockedReply = "554 5.7.1 Service unavailable; Client host blocked using zen.spamhaus.org"

// blocklist is a script that refuses some peers at MAIL.
type blocklist struct {
	mu    sync.Mutex
	peers map[string]bool
	verb  string
}

func (b *blocklist) reply(c smtptest.Command) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.Verb == b.verb && b.peers[c.Peer] {
		return blockedReply
	}
	return ""
}

func (b *blocklist) add(peer string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.peers[peer] = true
}

// A site that blocks one of our addresses gets nothing from it for a while;
// another address takes over, and when all are held nothing is sent at all.
// Whether it says so at MAIL or at once, nobody is given up for it.
func TestSpamBlockHoldsEgress(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"CONNECT", "MAIL", "RCPT"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			list := &blocklist{peers: map[string]bool{}, verb: verb}
			w, host := one(t, smtptest.Config{Reply: list.reply})
			w.sender.Bind = []netip.Addr{netip.MustParseAddr("127.0.0.50"), netip.MustParseAddr("127.0.0.51")}
			var log bytes.Buffer
			w.sender.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))

			used := map[string]bool{}
			for i := range 2 {
				if o := w.deliver(t, to(testBatch, i, "u@a.test")); o.State != queue.Delivered {
					t.Fatalf("got %+v, want delivered", o)
				}
				sent := host.Messages()
				peer := sent[len(sent)-1].Peer
				if used[peer] {
					t.Errorf("came from %s, which is held", peer)
				}
				used[peer] = true
				list.add(peer)
				if verb == "CONNECT" {
					w.sender.Close() // only a new connection is told
				}
				if o := w.deliver(t, to(testBatch, i, "u@a.test")); o.State != queue.Deferred ||
					o.Class != queue.SpamBlock {
					t.Fatalf("blocked: got %+v, want deferred", o)
				}
				if held := time.Until(w.throttle.Held("a.test", peer, time.Now())); held < 11*time.Minute ||
					held > 19*time.Minute {
					t.Errorf("held for %v, want 15m ± 20 %%", held)
				}
			}
			connections := host.Connections()
			for i := range 5 {
				if o := w.deliver(t, to(testBatch, i, "u@a.test")); o.State != queue.Deferred ||
					o.Class != queue.NotBegun || o.After == 0 {
					t.Errorf("all held: got %+v, want not begun", o)
				}
			}
			if got := host.Connections() - connections; got != 0 {
				t.Errorf("connections while all are held: got %d, want 0", got)
			}
			if n, _ := w.throttle.Admit("a.test", 1, time.Now()); n != 0 {
				t.Error("a message was admitted while all are held")
			}
			if got := strings.Count(log.String(), "level=WARN"); got != 2 ||
				!strings.Contains(log.String(), `next="enotify destination show a.test"`) {
				t.Errorf("log: got %s, want a line for each hold, with the next command", log.String())
			}
		})
	}
}

// A receiver that calls one message spam is done with that message; where it
// came from is not held, and the next one goes out from there.
func TestSpamOfOneMessageHoldsNothing(t *testing.T) {
	t.Parallel()
	once := true
	w, _ := one(t, smtptest.Config{Reply: func(c smtptest.Command) string {
		if c.Verb == "." && once {
			once = false
			return "550 5.7.1 Message considered as spam"
		}
		return ""
	}})
	w.sender.Bind = []netip.Addr{netip.MustParseAddr("127.0.0.50")}
	if o := w.deliver(t, to(testBatch, 0, "u@a.test")); o.State != queue.Bounced || o.Class != queue.SpamBlock {
		t.Errorf("the message that was called spam: got %+v, want bounced", o)
	}
	if until := w.throttle.Held("a.test", "127.0.0.50", time.Now()); !until.IsZero() {
		t.Errorf("held until %v, want not at all", until)
	}
	if o := w.deliver(t, to(testBatch, 1, "u@a.test")); o.State != queue.Delivered {
		t.Errorf("the next message: got %+v, want delivered", o)
	}
}

// Greylisting wants the next try from where the first came.
func TestEgressStays(t *testing.T) {
	t.Parallel()
	zone, all := "", hosts{}
	for i := range 8 {
		zone += fmt.Sprintf("d%d.test. MX 10 mx.d%d.test.\n", i, i)
		all[fmt.Sprintf("mx.d%d.test", i)] = smtptest.Config{}
	}
	w := newWorld(t, zone, all)
	for i := range 4 {
		w.sender.Bind = append(w.sender.Bind, netip.AddrFrom4([4]byte{127, 0, 0, byte(50 + i)}))
	}
	again := &sender.Sender{Resolver: w.sender.Resolver, Throttle: w.throttle, HELO: "client.test", Port: w.sender.Port,
		AllowMX: loopback}
	for i := range w.sender.Bind { // the same addresses in another order
		again.Bind = append(again.Bind, w.sender.Bind[3-i])
	}
	t.Cleanup(again.Close)
	used := map[string]bool{}
	for i := range 8 {
		m := to(testBatch, 1, fmt.Sprintf("u@d%d.test", i))
		w.deliver(t, m)
		w.sender.Close()
		again.Deliver(t.Context(), m)
		sent := w.hosts[fmt.Sprintf("mx.d%d.test", i)].Messages()
		if len(sent) != 2 || sent[0].Peer != sent[1].Peer {
			t.Errorf("d%d.test: got %+v, want both from one address", i, sent)
			continue
		}
		used[sent[0].Peer] = true
	}
	if len(used) < 2 {
		t.Errorf("all sites got mail from %v, want them spread over the addresses", used)
	}
}
