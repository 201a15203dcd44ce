package demo

import (
	"bytes"
	"cmp"
	"fmt"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"enotify/cmd/enotify/exit"
	"enotify/sender/smtptest"
)

// A mailbag keeps what the receivers accept, a file DIR/RECEIVER/NUMBER-ADDRESS.eml
// each, and watches that nothing comes twice.
type mailbag struct {
	dir string

	mu     sync.Mutex
	filed  map[string]int // messages by receiver
	copies map[string]int // messages by Message-ID, which is the same on every try
	octets int            // of all files
	sample string         // one of the files
	err    error          // the first that hindered filing
}

// openMailbag makes the folder dir, or, when dir is "", a temporary one. A
// folder with files of another run would tell a wrong story.
func openMailbag(dir string) (*mailbag, error) {
	b := &mailbag{dir: dir, filed: map[string]int{}, copies: map[string]int{}}
	if dir == "" {
		var err error
		if b.dir, err = os.MkdirTemp("", "enotify-demo-"); err != nil {
			return nil, fmt.Errorf("the messages need a folder: %w; name one with --out, or set TMPDIR", err)
		}
		return b, nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	there, err := os.ReadDir(dir)
	if err == nil && len(there) > 0 {
		err = exit.Usagef("--out %s: the folder is not empty; name another one", dir)
	}
	return b, err
}

// file is called before the receiver confirms the message. It adds the line in
// which final delivery keeps the envelope sender (RFC 5321 §4.4).
func (b *mailbag) file(receiver string, m smtptest.Message) {
	id := ""
	if parsed, err := mail.ReadMessage(bytes.NewReader(m.Data)); err == nil {
		id = parsed.Header.Get("Message-Id")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.filed[receiver]++
	b.copies[id]++
	name := fmt.Sprintf("%05d-%s.eml", b.filed[receiver], fileName(m.To[0]))
	path := filepath.Join(b.dir, receiver, name)
	err := os.MkdirAll(filepath.Dir(path), 0o777)
	if err == nil {
		text := append([]byte("Return-Path: <"+m.From+">\r\n"), m.Data...)
		if err = os.WriteFile(path, text, 0o666); err == nil {
			b.octets += len(text)
			b.sample = cmp.Or(b.sample, path)
		}
	}
	if b.err == nil {
		b.err = err
	}
}

// received is the number of messages, and how many of them came again.
func (b *mailbag) received() (messages, again int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.copies {
		messages += n
		again += n - 1
	}
	return messages, again
}

// left is what is on disk: how much, and one of the files.
func (b *mailbag) left() (octets int, sample string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.octets, b.sample
}

// close removes the folder when nothing is in it, and returns what hindered filing.
func (b *mailbag) close() error {
	_ = os.Remove(b.dir) // fails when messages are there
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// maxFileName leaves room for number and extension in what file systems take.
const maxFileName = 200 // octets

// fileName is an address without what file systems or shells make something of.
func fileName(address string) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune("@.-_+=", r) || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
			return r
		}
		return '_'
	}, address)
	return name[:min(len(name), maxFileName)]
}
