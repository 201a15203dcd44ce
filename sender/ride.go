package sender

import (
	"slices"
	"time"
)

// goesOn reports whether a connection may carry another message after one to domain.
func (p *pool) goesOn(c *conn, domain string) bool {
	now := time.Now()
	return !c.broken.Load() && p.throttle.Held(c.site, c.egress, now).IsZero() &&
		p.throttle.Reuse(c.site, domain, c.begun(), now)
}

// pass hands on a connection before a message to domain is answered that got it in that
// turn, if the host bears that. It does nothing when the message has given it back.
func (p *pool) pass(c *conn, turn int, domain string) {
	follows := p.goesOn(c, domain)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.writer || c.turn != turn {
		return
	}
	c.writer = false
	if follows {
		p.follow(p.site(c.site), c)
	}
}

// follow lists a connection for the next message, unless it is needed elsewhere.
func (p *pool) follow(s *siteConns, c *conn) {
	if c.writer || c.listed || !c.room() || p.crowded.need(c.place) && c.begun() >= fairShare {
		return
	}
	c.listed = true
	s.following = append(s.following, c)
	p.serve(s) // the site may bear more connections by now
	p.ride(s)
}

// ride gives the connections that are listed to the messages that wait.
func (p *pool) ride(s *siteConns) {
	for i := 0; i < len(s.waiters) && len(s.following) > 0; {
		w := s.waiters[i]
		at := slices.IndexFunc(s.following, func(c *conn) bool { return p.suits(w.route, c) })
		if at < 0 {
			i++
			continue
		}
		c := s.following[at]
		p.unlist(s, c)
		s.waiters = slices.Delete(s.waiters, i, i+1)
		w.grant <- p.hold(c)
	}
}

func (p *pool) unlist(s *siteConns, c *conn) {
	if c.listed {
		c.listed = false
		s.following = slices.DeleteFunc(s.following, func(other *conn) bool { return other == c })
	}
}
