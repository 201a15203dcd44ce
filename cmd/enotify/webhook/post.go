package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"enotify/queue/events"
)

// A message holds at most so many events and about so many octets.
const (
	maxEvents = 500
	maxOctets = 512 << 10
)

// A message is one POST.
type message struct {
	id   string // the same for a retry
	body []byte
	upto int64 // the last event it covers
	n    int
}

// compose makes a message of the first events that fit.
func compose(c events.Claim, next []events.Event, upto int64) (message, error) {
	size := 0
	for i, e := range next {
		size += 200 + len(e.Data)
		if size > maxOctets && i > 0 {
			next, upto = next[:i], next[i-1].ID
			break
		}
	}
	first, last := next[0].ID, next[len(next)-1].ID
	body, err := json.Marshal(map[string]any{
		"type": "enotify.events", "timestamp": next[len(next)-1].At, "data": map[string]any{"events": next},
	})
	return message{id: fmt.Sprintf("evt_%d.%d_%d_%d", c.ID, c.Round, first, last), body: body, upto: upto,
		n: len(next)}, err
}

// A refusal is a status that is not 2xx.
type refusal struct {
	status int
	after  time.Duration // Retry-After
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the receiver answered %d %s", r.status, http.StatusText(r.status))
}

// maxRetryAfter bounds what a receiver may ask for.
const maxRetryAfter = time.Hour

// post sends a message. What the receiver writes is read, so that the connection can
// be used again, up to a bound.
func (r *Runner) post(ctx context.Context, c events.Claim, m message) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(m.body))
	if err != nil {
		return err
	}
	now := time.Now()
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "enotify", "Webhook-Id": m.id,
		"Webhook-Timestamp": strconv.FormatInt(now.Unix(), 10),
		"Webhook-Signature": Signature(c.Secret, m.id, now, m.body),
	} {
		request.Header.Set(name, value)
	}
	client := r.secure
	if strings.HasPrefix(c.URL, "http:") {
		client = r.plain
	}
	response, err := client.Do(request)
	if err != nil {
		return plainly(err)
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 16<<10)
	if response.StatusCode/100 == 2 {
		return nil
	}
	no := &refusal{status: response.StatusCode}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		no.after = min(time.Duration(min(seconds, 1<<20))*time.Second, maxRetryAfter)
	}
	return no
}

// plainly leaves out the URL, which may hold a secret of the receiver.
func plainly(err error) error {
	if refused := (*refusedAddr)(nil); errors.As(err, &refused) {
		return refused
	}
	if at := (*url.Error)(nil); errors.As(err, &at) {
		if at.Timeout() {
			return errors.New("the receiver did not answer in time")
		}
		return at.Err
	}
	return err
}

// Backoff is the wait after so many failures: 5 s, 15 s, 45 s … up to 6 h, a fifth
// more or less by jitter, which is from 0 to 1.
func Backoff(failures int, jitter float64) time.Duration {
	wait, longest := 5*time.Second, 6*time.Hour
	for range failures - 1 {
		if wait *= 3; wait >= longest {
			wait = longest
			break
		}
	}
	return time.Duration(float64(wait) * (0.8 + 0.4*jitter))
}
