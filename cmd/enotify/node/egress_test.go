package node_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"enotify/cmd/enotify/sitetest"
	"enotify/queue"
	"enotify/sender/smtptest"
)

func loopback(last byte) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, last}) }

// addressed is a site whose client authorises all of loopback, and its queue.
func addressed(t *testing.T, receiver smtptest.Config) (*sitetest.Site, *queue.DB) {
	t.Helper()
	s := sitetest.New(t, receiver)
	s.DNS.PutTXT("town.example", "v=spf1 ip4:127.0.0.0/8 -all")
	db, err := queue.Open(t.Context(), s.URL, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return s, db
}

// set changes an address as egress set does.
func set(t *testing.T, db *queue.DB, addr netip.Addr, change queue.EgressChange) {
	t.Helper()
	if err := db.SetEgress(t.Context(), addr, change); err != nil {
		t.Fatal(err)
	}
}

// enqueue submits a batch to one recipient of each of n sites.
func enqueue(s *sitetest.Site, key string, n int, more string) int64 {
	s.Helper()
	return sitetest.Ask[int64](s, `SELECT enotify.enqueue($1, 'info@town.example', 'Lunch menu', 'Soup.',
		ARRAY(SELECT format('user@d%s.alone', i) FROM generate_series(1, $2) i)`+more+`)`, key, n)
}

// peers are the addresses that messages came from since the first so many, by recipient.
func peers(s *sitetest.Site, since int) map[string]string {
	from := map[string]string{}
	for _, m := range s.SMTP.Messages()[since:] {
		from[m.To[0]] = m.Peer
	}
	return from
}

// used lists how many recipients got their message from each address.
func used(from map[string]string) map[string]int {
	n := map[string]int{}
	for _, peer := range from {
		n[peer]++
	}
	return n
}

// A batch leaves from the addresses of its pool alone, whichever node has them; a site
// always gets its mail from the same one. An address that is held hands its sites over to
// the pool, and the others keep theirs. A pool without an address has its batches wait.
func TestPoolsOverNodes(t *testing.T) {
	t.Parallel()
	const n = 60
	s, db := addressed(t, smtptest.Config{})
	a, b := s.Node(), s.Node()
	a.Name, a.Egress = "a", []netip.Addr{loopback(2), loopback(4)}
	b.Name, b.Egress = "b", []netip.Addr{loopback(3)}
	s.Serve(a)
	stopB := s.Serve(b)
	s.Until(`SELECT count(*) = 3 FROM enotify.live_egress`)
	set(t, db, loopback(2), queue.EgressChange{Pool: new("news")})
	set(t, db, loopback(3), queue.EgressChange{Pool: new("news")})
	set(t, db, loopback(4), queue.EgressChange{Pool: new("emergencies")})
	if err := db.SetPool(t.Context(), "emergencies", queue.PoolUrgent); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SetClient(t.Context(), "town.example", queue.ClientChange{Pool: new("news")}); err != nil {
		t.Fatal(err)
	}

	send := func(key, more string) map[string]string {
		since := len(s.SMTP.Messages())
		batch := enqueue(s, key, n, more)
		s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
		return peers(s, since)
	}
	first := send("first", "")
	if got := used(first); len(got) != 2 || got["127.0.0.2"] < n/5 || got["127.0.0.3"] < n/5 {
		t.Errorf("newsletter: got %v, want both addresses of news with a good part each", got)
	}
	if got := used(send("urgent", ", priority => 5")); got["127.0.0.4"] != n {
		t.Errorf("emergency: got %v, want all %d from 127.0.0.4", got, n)
	}
	for to, peer := range send("second", "") {
		if first[to] != peer {
			t.Errorf("%s: got its second message from %s, want %s as before", to, peer, first[to])
		}
	}
	set(t, db, loopback(2), queue.EgressChange{State: new(queue.EgressHeld), Reason: new("on a block list")})
	if got := used(send("held", "")); got["127.0.0.3"] != n {
		t.Errorf("with one address held: got %v, want all %d from the other one of the pool", got, n)
	}
	stopB()
	waiting := enqueue(s, "waiting", n, "")
	s.Until(`SELECT reason LIKE 'waits for an address of pool news%' FROM enotify.batch WHERE id = $1`, waiting)
	if got := used(send("meanwhile", ", priority => 1")); got["127.0.0.4"] != n {
		t.Errorf("emergency beside a batch that waits: got %v, want all %d from 127.0.0.4", got, n)
	}
	set(t, db, loopback(2), queue.EgressChange{State: new(queue.EgressActive), Reason: new("")})
	s.Until(`SELECT state = 'done' AND reason = '' FROM enotify.batch WHERE id = $1`, waiting)
}

// An address that is warming up leaves what is above its cap to a warm one of its pool.
func TestWarmupSpillsIntoThePool(t *testing.T) {
	t.Parallel()
	s, db := addressed(t, smtptest.Config{})
	c := s.Node()
	c.Egress = []netip.Addr{loopback(6), loopback(7)}
	s.Serve(c)
	s.Until(`SELECT count(*) = 2 FROM enotify.egress`)
	if err := db.Warm(t.Context(), loopback(6),
		queue.Warmup{Site: "*", Caps: []int{5, 10}, Zone: fmt.Sprintf("Etc/GMT%+d", time.Now().UTC().Hour()-12),
			Overflow: "pool"}); err != nil {
		t.Fatal(err)
	}
	batch := enqueue(s, "menu", 60, "")
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, batch)
	if got := used(peers(s, 0)); got["127.0.0.6"] != 5 || got["127.0.0.7"] != 55 {
		t.Errorf("got %v, want 5 from the new address and 55 from the warm one", got)
	}
}

// The guard asks whether the client authorises the addresses of its pools, and no others.
func TestGuardKnowsPools(t *testing.T) {
	t.Parallel()
	s, db := addressed(t, smtptest.Config{})
	s.DNS.PutTXT("town.example", "v=spf1 ip4:127.0.0.8 -all")
	c := s.Node()
	c.Egress = []netip.Addr{loopback(8), loopback(9)}
	s.Serve(c)
	s.Until(`SELECT count(*) = 2 FROM enotify.egress`)
	blocked := enqueue(s, "blocked", 3, "")
	s.Until(`SELECT state = 'blocked' AND reason LIKE '%127.0.0.9%' FROM enotify.batch WHERE id = $1`, blocked)
	set(t, db, loopback(9), queue.EgressChange{Pool: new("others")})
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, blocked)
	// A batch that names the other pool is blocked, and stops no other.
	named := enqueue(s, "named", 3, ", pool => 'others'")
	s.Until(`SELECT state = 'blocked' FROM enotify.batch WHERE id = $1`, named)
	free := enqueue(s, "free", 3, "")
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, free)
	if got := used(peers(s, 0)); got["127.0.0.8"] != 3 || len(got) != 1 || s.SMTP.Delivered() != 6 {
		t.Errorf("got %d messages, to recipients by address %v; want 6, all from the one that the client authorises",
			s.SMTP.Delivered(), got)
	}
}
