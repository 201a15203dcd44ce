package console

import (
	"bufio"
	"bytes"
	"crypto/subtle"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// minToken is the least length of a token: 16 random octets in base64 have 22.
const minToken = 20

// A credential lets a person in.
type credential struct {
	person, token string
	until         time.Time // zero: no end
}

// readTokens reads a file of tokens: a line is PERSON TOKEN, and may have a third word,
// until when the token holds (RFC 3339, or a date whose end it is). # begins a comment.
func readTokens(file string) ([]credential, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s can be read by everybody: chmod 600 %s", file, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []credential
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) < 2 || len(words) > 3 {
			return nil, fmt.Errorf("%s, line %d: want PERSON TOKEN, and perhaps until when it holds, such as 2027-01-31", file, n)
		}
		c := credential{person: words[0], token: words[1]}
		if len(c.token) < minToken {
			return nil, fmt.Errorf("%s, line %d: the token has %d characters, and needs %d; openssl rand -base64 24 makes one", file, n, len(c.token), minToken)
		}
		if len(words) == 3 {
			if c.until, err = time.Parse(time.RFC3339, words[2]); err != nil {
				day, err := time.ParseInLocation(time.DateOnly, words[2], time.Local)
				if err != nil {
					return nil, fmt.Errorf("%s, line %d: %q is no time: want 2027-01-31 or 2027-01-31T12:00:00Z", file,
						n, words[2])
				}
				c.until = day.AddDate(0, 0, 1)
			}
		}
		all = append(all, c)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s has no token; a line is PERSON TOKEN", file)
	}
	return all, nil
}

// tokens are those of a file that may change: a line that was taken out lets nobody in
// any more.
type tokens struct {
	file string

	mu      sync.Mutex
	read    []credential
	changed time.Time // of the file, as read
	size    int64
}

// current reads the file when it has changed. A file that cannot be read lets nobody in.
func (t *tokens) current() []credential {
	if t.file == "" {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	info, err := os.Stat(t.file)
	if err != nil {
		t.read, t.changed = nil, time.Time{}
		return nil
	}
	if !info.ModTime().Equal(t.changed) || info.Size() != t.size {
		t.changed, t.size = info.ModTime(), info.Size()
		if t.read, err = readTokens(t.file); err != nil {
			t.read = nil
		}
	}
	return t.read
}

// person is the name that a token was given to; "" when the token is not known or has ended.
func (t *tokens) person(token string, now time.Time) string {
	found := ""
	for _, c := range t.current() { // all, so that the time tells nothing
		if subtle.ConstantTimeCompare([]byte(c.token), []byte(token)) == 1 &&
			(c.until.IsZero() || now.Before(c.until)) {
			found = c.person
		}
	}
	return found
}
