package sender

// crowds lists the sites that found no room for their first waiter, by its class, in the
// order in which they came.
type crowds struct {
	sites [classes][]*siteConns
	last  int // number given
}

func (c *crowds) add(s *siteConns, of class) {
	if s.crowded[of] == 0 {
		c.last++
		s.crowded[of] = c.last
		c.sites[of] = append(c.sites[of], s)
	}
}

// next takes the site that came first of those for which there is room, urgent ones
// before others; nil when there is none.
func (c *crowds) next(ps *places) *siteConns {
	best := classes
	for of := range classes {
		if len(c.sites[of]) == 0 || !ps.room(of) {
			continue
		}
		if best == classes || c.sites[of][0].crowded[of] < c.sites[best][0].crowded[best] {
			best = of
		}
		if best == urgent {
			break
		}
	}
	if best == classes {
		return nil
	}
	s := c.sites[best][0]
	c.sites[best][0] = nil
	c.sites[best] = c.sites[best][1:]
	s.crowded[best] = 0
	return s
}

// has reports whether a site waits for room of a class.
func (c *crowds) has(of class) bool { return len(c.sites[of]) > 0 }

// len is the number of sites that wait, with room for them or not.
func (c *crowds) len() (n int) {
	for _, sites := range c.sites {
		n += len(sites)
	}
	return n
}

// need reports whether a site waits for a place such as the given one.
func (c *crowds) need(pl *place) bool {
	laggards := len(c.sites[laggard])
	if pl.slow {
		return laggards > 0
	}
	return c.len() > laggards
}
