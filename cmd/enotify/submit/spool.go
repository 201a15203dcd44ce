package submit

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// Bounds of bodies, in octets.
const (
	maxBody         = 1 << 30
	maxSpooled      = 8 << 30   // of all at once
	maxSpooledOfOne = 2 << 30   // of one token
	inMemory        = 256 << 10 // fewer take no file
)

// A body must come at such a pace. The first is for a body of a few rows behind a bad
// line.
const (
	patience     = 10 * time.Second // without any octet
	slowStart    = 30 * time.Second
	minPerSecond = 8 << 10
)

// A quota bounds what is kept at once.
type quota struct {
	mu   sync.Mutex
	used int64
	most int64
}

func (q *quota) take(n int64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.used+n > q.most {
		return false
	}
	q.used += n
	return true
}

func (q *quota) giveBack(n int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used -= n
}

// A spool keeps what comes in: a slow client shall hold no transaction.
type spool struct {
	dir    string
	quotas []*quota
	taken  int64
	memory []byte   // not in the file yet
	file   *os.File // without a name; nil: all is in memory
	tail   *tail    // that reads the file; nil: nobody does yet
}

// add keeps a line.
func (s *spool) add(line []byte) error {
	n := int64(len(line))
	for i, q := range s.quotas {
		if !q.take(n) {
			for _, before := range s.quotas[:i] {
				before.giveBack(n)
			}
			return problem(http.StatusServiceUnavailable,
				"too many large bodies come in at once; send it again later")
		}
	}
	s.taken += n
	if s.memory = append(s.memory, line...); len(s.memory) < inMemory {
		return nil
	}
	if s.file == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	return s.flush()
}

func (s *spool) open() (err error) {
	if s.file, err = os.CreateTemp(s.dir, "enotify-submit-"); err != nil {
		return err
	}
	return os.Remove(s.file.Name())
}

// flush writes what is in memory to the file, if there is one.
func (s *spool) flush() error {
	if s.file == nil {
		return nil
	}
	n, err := s.file.Write(s.memory)
	s.memory = s.memory[:0]
	if s.tail != nil {
		s.tail.grew(n)
	}
	return err
}

// follow reads the file from the start, while it grows.
func (s *spool) follow() *tail {
	s.tail = &tail{file: s.file, more: make(chan struct{}, 1), left: mayStarve, size: s.taken - int64(len(s.memory))}
	return s.tail
}

// reader reads what was kept, from the start.
func (s *spool) reader() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.memory)
	}
	return io.NewSectionReader(s.file, 0, s.taken)
}

func (s *spool) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
	for _, q := range s.quotas {
		q.giveBack(s.taken)
	}
}

// paced reads a body that must come at a pace.
type paced struct {
	body    io.Reader
	control *http.ResponseController
	began   time.Time
	read    int64
}

func (p *paced) Read(b []byte) (int, error) {
	_ = p.control.SetReadDeadline(time.Now().Add(patience))
	n, err := p.body.Read(b)
	if p.read += int64(n); p.read > maxBody {
		return 0, problem(http.StatusRequestEntityTooLarge, "the body is larger than 1 GiB; send several batches")
	}
	if took := time.Since(p.began); err == nil && took > slowStart && float64(p.read) < took.Seconds()*minPerSecond {
		err = problem(http.StatusRequestTimeout, "the body comes too slowly")
	}
	return n, err
}
