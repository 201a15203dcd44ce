package sender

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"enotify/queue"
)

// An egress is an address that we send from.
type egress struct {
	addr netip.Addr // to bind to; the zero Addr lets the system choose
	name string     // for holds: the address, or our name at EHLO
	helo string     // our name at EHLO
}

// errAllHeld stands for a site that blocks every address that we could come from.
var errAllHeld = errors.New("the site blocks our egress addresses; nothing is sent there until the hold ends")

// errNoFamily stands for a host that can be reached by IPv4 or IPv6 alone, when the
// message may leave from no such address.
var errNoFamily = errors.New("we have no egress address for the IPv4 or IPv6 that the host needs")

// egresses lists the addresses of one family that a message may leave from: those that the
// queue has chosen for it, else all.
func (s *Sender) egresses(chosen []queue.Egress, v4 bool) (choices []egress) {
	bound := false
	for _, e := range chosen {
		local := e.Bind
		if !local.IsValid() && slices.Contains(s.Bind, e.Addr) {
			local = e.Addr
		}
		bound = bound || local.IsValid()
		if e.Addr.Is4() == v4 {
			choices = append(choices, egress{local, e.Addr.String(), cmp.Or(e.HELO, s.helo())})
		}
	}
	if len(chosen) > 0 && (bound || len(choices) > 0) {
		return choices
	}
	for _, addr := range s.Bind {
		if addr.Is4() == v4 {
			choices = append(choices, egress{addr, addr.String(), s.helo()})
		}
	}
	if len(choices) == 0 { // the system chooses
		choices = []egress{{name: s.helo(), helo: s.helo()}}
	}
	return choices
}

// egress chooses the address from which we connect to a site by IPv4 or IPv6.
// It is the same for a site as long as our addresses are: greylisting wants the
// next try from where the first came (RFC 6647 §2.3). Sites spread over the
// addresses by [queue.Preference]. One that is held at the site is passed over; when all are, until
// says for how long.
func (s *Sender) egress(chosen []queue.Egress, site string, v4 bool, now time.Time) (e egress, until time.Time,
	err error) {
	choices := s.egresses(chosen, v4)
	if len(choices) == 0 {
		return egress{}, time.Time{}, errNoFamily
	}
	slices.SortFunc(choices, func(a, b egress) int {
		return cmp.Compare(queue.Preference(site, b.name, 1), queue.Preference(site, a.name, 1))
	})
	for _, e := range choices {
		held := s.Throttle.Held(site, e.name, now)
		if held.IsZero() {
			return e, time.Time{}, nil
		}
		if until.IsZero() || held.Before(until) {
			until = held
		}
	}
	return egress{}, until, errAllHeld
}

// address is that of an egress; the zero Addr when only its name is known.
func address(name string) netip.Addr {
	addr, _ := netip.ParseAddr(name)
	return addr
}

// blocked holds the egress address of a connection, or of a try to open one,
// at a site that answered with a block.
func (s *Sender) blocked(ctx context.Context, site, egress string, r queue.Reply) {
	hold, fresh := s.Throttle.Block(site, egress, r.String(), time.Now())
	if !fresh {
		return
	}
	s.alert(ctx, queue.Alert{Kind: queue.AlertSpamBlock, Site: site, Text: site + " blocks mail from " + egress +
		"; nothing is sent there from it for a while", Next: "enotify destination show " + site})
	if s.Log != nil {
		s.Log.LogAttrs(ctx, slog.LevelWarn, "the site blocks us; nothing is sent there from this address for a while",
			slog.String("site", site), slog.String("egress", egress), slog.Time("until", hold.Until),
			slog.Int("times", hold.Times),
			slog.String("reply", hold.Reply), slog.String("next", "enotify destination show "+site))
	}
}
