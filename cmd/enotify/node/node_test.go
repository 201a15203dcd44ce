package node_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"enotify/cmd/enotify/console"
	"enotify/cmd/enotify/node"
	"enotify/cmd/enotify/sitetest"
	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
)

// A node in this process sends, ends when nothing is due, and gives back what
// it had; two of them one after the other use the same addresses.
func TestRun(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	c := s.Node()
	c.UntilIdle, c.Listen, c.BounceListen = true, sitetest.FreePort(t), []string{sitetest.FreePort(t)}
	for i, key := range []string{"first", "second"} {
		batch := s.Enqueue(key, "Soup.", 10, 2)
		if err := node.Run(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got, want := s.States(batch), "delivered 10"; got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
		queuetest.Copies(t, s.SMTP.Copies(), 10, i+1)
	}
}

// A node that cannot begin leaves no address taken, and says which setting is
// wrong.
func TestRunThatCannotBegin(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	for setting, change := range map[string]func(c *node.Config){
		"--bounce-tls-cert": func(c *node.Config) { c.BounceCert, c.BounceKey = "none.pem", "none.pem" },
		"--bounce-listen":   func(c *node.Config) { c.BounceListen = append(c.BounceListen, "imap://127.0.0.1:1") },
		"--turn":            func(c *node.Config) { c.Turn = "mine" },
		"--smarthost":       func(c *node.Config) { c.Smarthost = "host" },
		"--tls":             func(c *node.Config) { c.TLS = "perhaps" },
	} {
		c := s.Node()
		c.Listen, c.BounceListen = sitetest.FreePort(t), []string{sitetest.FreePort(t)}
		change(&c)
		if err := node.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("%s: got %v, want an error that names it", setting, err)
		}
		for _, addr := range []string{c.Listen, c.BounceListen[0]} {
			l, err := net.Listen("tcp", addr)
			if err != nil {
				t.Errorf("%s: the address is still taken: %v", setting, err)
				continue
			}
			l.Close()
		}
	}
}

// A node that finds a port in use ends at once, and does not wait for a database that is
// away before it says so.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	addr := taken.Addr().String()
	for flag, change := range map[string]func(c *node.Config){
		"--listen":             func(c *node.Config) { c.Listen = addr },
		"--unsubscribe-listen": func(c *node.Config) { c.UnsubscribeListen = addr },
		"--bounce-listen":      func(c *node.Config) { c.BounceListen = []string{addr} },
		"--submit":             func(c *node.Config) { c.Submit = addr },
		"--console":            func(c *node.Config) { c.Console = &console.Config{Listen: addr} },
	} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			c := node.Config{DatabaseURL: "postgres://127.0.0.1:1/enotify", Egress: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
			change(&c)
			want := flag + " " + addr + ": another program listens there; give another port, or end it"
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := node.Run(ctx, c); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}
