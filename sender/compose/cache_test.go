package compose_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/compose"
)

// A library has batches whose contents are read when they are asked for.
type library struct {
	letters compose.Letters

	mu    sync.Mutex
	reads map[int64]int
	away  bool // nothing can be read
}

var errAway = errors.New("the database is away")

func (l *library) batch(id int64, client string, octets int) *queue.Batch {
	whole := *testBatch
	whole.ID, whole.Client, whole.Text = id, client, "Dear {{.name}}"
	whole.Attachments = []queue.Attachment{{Filename: "plan.pdf", Content: make([]byte, octets)}}
	b := whole
	b.Octets = b.Size()
	b.Text, b.Attachments = "", nil
	b.Read = func(context.Context) (*queue.Batch, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.away {
			return nil, errAway
		}
		if l.reads == nil {
			l.reads = map[int64]int{}
		}
		l.reads[id]++
		return &whole, nil
	}
	return &b
}

func (l *library) hold(t *testing.T, b *queue.Batch) (*compose.Letter, func()) {
	t.Helper()
	letter, give, err := l.letters.Hold(t.Context(), b, time.Minute)
	if err != nil {
		t.Fatalf("batch %d: %v", b.ID, err)
	}
	return letter, give
}

func (l *library) refused(t *testing.T, b *queue.Batch, why string) {
	t.Helper()
	if _, _, err := l.letters.Hold(t.Context(), b, time.Millisecond); !errors.Is(err, compose.ErrNoRoom) {
		t.Errorf("batch %d, %s: got %v, want that it has no room", b.ID, why, err)
	}
}

const mb = 1 << 20

// The letters in use are bounded, and one client has half of what others leave; a letter is made once
// for all messages that use it at a time.
func TestLettersInUseAreBounded(t *testing.T) {
	t.Parallel()
	l := library{letters: compose.Letters{Octets: 12 * mb}}
	first := l.batch(1, "town.example", 3*mb) // 4 MB, encoded
	_, give := l.hold(t, first)
	_, again := l.hold(t, first)
	second := l.batch(2, "town.example", 3*mb)
	l.refused(t, second, "beyond the half of its client")
	_, other := l.hold(t, l.batch(3, "city.example", 2*mb))
	l.refused(t, l.batch(7, "city.example", 2*mb), "beyond half of what the first client leaves")
	other()
	_, other = l.hold(t, l.batch(3, "city.example", 3*mb))
	l.refused(t, l.batch(4, "county.example", 6*mb), "beyond all")
	if got, want := l.letters.InUse(), 8*mb; got < want || got > want+mb {
		t.Errorf("octets in use: got %d, want about %d", got, want)
	}
	for i := range int64(100) { // small ones are free
		_, give := l.hold(t, l.batch(100+i, "town.example", 1000))
		defer give()
	}
	waits := make(chan error)
	go func() {
		_, give, err := l.letters.Hold(t.Context(), second, time.Minute)
		if err == nil {
			give()
		}
		waits <- err
	}()
	give()
	l.refused(t, l.batch(5, "town.example", 3*mb), "while another message uses the first")
	again()
	if err := <-waits; err != nil {
		t.Errorf("the second batch, when the first was given back: got %v, want it", err)
	}
	other()
	_, huge := l.hold(t, l.batch(6, "town.example", 20*mb)) // alone, however large
	huge()
	if got := l.letters.InUse(); got != 0 {
		t.Errorf("octets in use in the end: got %d, want 0", got)
	}
	if got := l.reads[1]; got != 1 {
		t.Errorf("reads of the first batch for two messages: got %d, want 1", got)
	}
}

// A letter that no message uses stays while there is room, and is made again afterwards; what
// its messages have shown is remembered.
func TestUnusedLettersMakeWay(t *testing.T) {
	t.Parallel()
	l := library{letters: compose.Letters{Octets: 12 * mb}}
	b := l.batch(1, "town.example", 3*mb)
	for range 5 {
		letter, give := l.hold(t, b)
		for i := range int32(2) { // no recipient can get a message: after ten the batch is at fault
			_, err := letter.Compose(queue.Message{Batch: b, Seq: i + 1, Address: "ada@a.test"}, nil)
			_ = letter.Judge(err)
		}
		give()
	}
	if got := l.reads[1]; got != 1 {
		t.Errorf("reads while there is room: got %d, want 1", got)
	}
	for i := range int64(5) {
		_, give := l.hold(t, l.batch(2+i, fmt.Sprintf("c%d.example", i), 3*mb))
		give()
	}
	letter, give := l.hold(t, b)
	defer give()
	if got := l.reads[1]; got != 2 {
		t.Errorf("reads after others took the room: got %d, want 2", got)
	}
	fault := (*compose.Fault)(nil)
	if err := letter.Judge(nil); !errors.As(err, &fault) {
		t.Errorf("the batch at fault, made again: got %v, want its fault", err)
	}
}

// A content that cannot be read just now is asked for again by the next message.
func TestContentIsReadWhenItCanBe(t *testing.T) {
	t.Parallel()
	l := library{away: true}
	b := l.batch(1, "town.example", mb)
	if _, _, err := l.letters.Hold(t.Context(), b, time.Minute); !errors.Is(err, errAway) {
		t.Errorf("got %v, want that the content cannot be read", err)
	}
	l.away = false
	letter, give := l.hold(t, b)
	defer give()
	m, err := letter.Compose(queue.Message{Batch: b, Seq: 1, Address: "ada@a.test", Data: []byte(`{"name":"Ada"}`)}, nil)
	if err != nil || m.Size() < mb {
		t.Errorf("message: got %v, want one with the attachment", err)
	}
}
