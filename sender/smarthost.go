package sender

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"github.com/wneessen/go-mail/smtp"

	"enotify/queue"
)

// A Login is our user and password at a smarthost (RFC 4954); the zero value is none.
type Login struct{ User, Password string }

// errLogin stands for a smarthost that does not accept our login, or to which
// we cannot say it safely.
var errLogin = errors.New("the smarthost does not accept our login")

// How long nothing is sent to a smarthost that does not accept us: the first
// time, doubling to the last. Then one message is sent as a probe.
const (
	firstHalt = time.Minute
	lastHalt  = 15 * time.Minute
)

// A halt is a smarthost that does not accept us. That says nothing of clients
// and recipients, who all wait.
type halt struct {
	mu    sync.Mutex
	times int // in a row
	until time.Time
}

// again notes that the smarthost did not accept us, and until when nothing is
// sent. It is fresh the first time in a row: messages that were under way, and
// later probes, say the same.
func (h *halt) again(now time.Time) (until time.Time, fresh bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now.Before(h.until) {
		return h.until, false
	}
	h.until = now.Add(min(firstHalt<<min(h.times, 10), lastHalt))
	h.times++
	return h.until, h.times == 1
}

// over notes that the smarthost took a message, and reports whether it had not
// accepted us before.
func (h *halt) over() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.times > 0
	h.times, h.until = 0, time.Time{}
	return was
}

// refusesUs reports whether a failure means that our smarthost wants a login,
// or not this one: 530, 534, 535 and 538 of RFC 4954 §6, or anything that it
// answered to AUTH. From a mail host of a domain they are about its mail.
func (s *Sender) refusesUs(f *failure) bool {
	if s.Smarthost == "" {
		return false
	}
	return errors.Is(f.err, errLogin) || f.verdict.Login
}

// halted is the outcome of a message that met a smarthost which does not accept
// us. It holds no code: a code would count as a reply to the message.
func (s *Sender) halted(ctx context.Context, f *failure) queue.Outcome {
	now := time.Now()
	until, fresh := s.halt.again(now)
	s.Throttle.Halt(f.site, until, now)
	why := clean(f.err.Error())
	if fresh {
		const next = "restart the node with the right ENOTIFY_SMARTHOST_USER and ENOTIFY_SMARTHOST_PASSWORD, or allow this host on the smarthost; enotify retries automatically"
		if s.Log != nil {
			s.Log.LogAttrs(ctx, slog.LevelWarn, "the smarthost does not accept us; nothing is sent until it does",
				slog.String("smarthost", s.Smarthost), slog.Time("until", until), slog.String("reply", why),
				slog.String("next", next))
		}
		s.alert(ctx, queue.Alert{Kind: queue.AlertSmarthost, Site: f.site, Text: "the smarthost " + s.Smarthost +
			" does not accept us; nothing is sent until it does", Next: next})
	}
	return queue.Outcome{
		State: queue.Deferred, Class: queue.NotBegun, Host: f.host, Site: f.site, After: wait(until),
		Reply: queue.Reply{Text: "the smarthost does not accept us: " + why},
	}
}

// accepted notes that the smarthost took a message.
func (s *Sender) accepted(ctx context.Context) {
	if s.Smarthost != "" && s.halt.over() && s.Log != nil {
		s.Log.LogAttrs(ctx, slog.LevelInfo, "the smarthost accepts us again", slog.String("smarthost", s.Smarthost))
	}
}

func (s *Sender) alert(ctx context.Context, a queue.Alert) {
	if s.Alerted != nil {
		s.Alerted(ctx, a)
	}
}

// login authenticates us, where the host asks for it. Its errors wrap errLogin: a reply to
// AUTH is not about our mail.
func (s *Sender) login(client *smtp.Client, host string) error {
	if s.SmarthostLogin.User == "" {
		return nil
	}
	_, offered := client.Extension("AUTH")
	var auth smtp.Auth
	for _, mechanism := range strings.Fields(strings.ToUpper(offered)) {
		switch mechanism {
		case "PLAIN": // RFC 4616; in the clear to this host alone
			auth = smtp.PlainAuth("", s.SmarthostLogin.User, s.SmarthostLogin.Password, host, false)
		case "LOGIN":
			if auth == nil {
				auth = smtp.LoginAuth(s.SmarthostLogin.User, s.SmarthostLogin.Password, host, false)
			}
		}
	}
	if auth == nil {
		return fmt.Errorf("%w: %s offers neither AUTH PLAIN nor AUTH LOGIN", errLogin, host)
	}
	if err := client.UpdateDeadline(s.commandTimeout()); err != nil {
		return err
	}
	err := client.Auth(auth)
	var said *textproto.Error
	switch {
	case errors.As(err, &said) && said.Code != 421:
		return fmt.Errorf("%w: %w", errLogin, err)
	case errors.Is(err, smtp.ErrUnencrypted):
		return fmt.Errorf("%w: %s does not offer STARTTLS, and a password is not sent in the clear", errLogin, host)
	}
	return err
}

// loginTLS is the policy for a connection on which a password is sent: an attacker who
// can pose as the smarthost would have it.
func (s *Sender) loginTLS(policy TLSPolicy, host string) TLSPolicy {
	if s.SmarthostLogin.User == "" || policy != Opportunistic || isLoopback(host) {
		return policy
	}
	return Verified
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
