package engine

import "time"

// Stats is what a Server does now.
type Stats struct {
	InFlight  int           // messages begun and not recorded
	Unwritten int           // outcomes that wait for the database
	Groups    int           // lease groups of recipient domains that the node holds, of 64
	LeaseAge  time.Duration // since the heartbeat that renewed the leases was sent; 0 before the first
	Journal   int64         // octets that the journal takes
}

// Stats reports what Serve does now; false before it begins and after its end.
func (s *Server) Stats() (Stats, bool) {
	v := s.current.Load()
	if v == nil {
		return Stats{}, false
	}
	v.flush.mu.Lock()
	unwritten := len(v.flush.pending) + v.flush.writing
	v.flush.mu.Unlock()
	return Stats{
		InFlight: v.flights.count(), Unwritten: unwritten, Groups: int(v.leases.count.Load()),
		LeaseAge: v.leases.age(), Journal: v.journal.octets(),
	}, true
}

// octets is the size of the journal, files of the past included.
func (j *journal) octets() int64 {
	if j == nil {
		return 0
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	sum := int64(j.size)
	for _, past := range pasts(j.dir) {
		sum += past.Size()
	}
	return sum
}
