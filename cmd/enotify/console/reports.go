package console

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"sync"
	"time"

	"enotify/cmd/enotify/cure"
	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/preflight/gather"
	"enotify/cmd/enotify/preflight/render"
	"enotify/queue"
)

const (
	recheckEvery = 5 * time.Second  // of a client's DNS, while somebody looks
	recheckWait  = 5 * time.Second  // for the first one
	recheckTime  = 30 * time.Second // that one may take
)

// reports are those on the DNS of clients whose page is open. They are made beside the
// board, which a slow name server must not stop.
type reports struct {
	console *console

	mu      sync.Mutex
	clients map[string]*dnsReport
}

type dnsReport struct {
	html    template.HTML
	err     error
	at      time.Time // of the last that was made; zero: none yet
	running bool
	first   chan struct{} // closed once there is one
}

// zoneParts are the page of what a client should publish, which looks again by itself.
func (c *console) zoneParts(domain string) []part {
	return []part{{"dns", lookEvery, func(ctx context.Context) (template.HTML,
		error) {
		return c.reports.of(ctx, domain)
	}}}
}

// of returns the last report on a client, and begins a new one when it is old.
func (r *reports) of(ctx context.Context, domain string) (template.HTML, error) {
	r.mu.Lock()
	if r.clients == nil {
		r.clients = map[string]*dnsReport{}
	}
	if len(r.clients) > maxTopics {
		for other, d := range r.clients {
			if !d.running && time.Since(d.at) > forget {
				delete(r.clients, other)
			}
		}
	}
	d := r.clients[domain]
	if d == nil {
		d = &dnsReport{first: make(chan struct{})}
		r.clients[domain] = d
	}
	if !d.running && time.Since(d.at) > recheckEvery {
		d.running = true
		go r.look(context.WithoutCancel(ctx), domain, d)
	}
	r.mu.Unlock()
	select {
	case <-d.first:
	case <-time.After(recheckWait):
		return `<div class="verdict info"><h1><span>Being checked</span></h1><p class="say" role="status">The name servers take their time.</p></div>`, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return d.html, d.err
}

func (r *reports) look(ctx context.Context, domain string, d *dnsReport) {
	ctx, cancel := context.WithTimeout(ctx, recheckTime)
	defer cancel()
	html, err := r.make(ctx, domain)
	r.mu.Lock()
	defer r.mu.Unlock()
	if d.at.IsZero() {
		close(d.first)
	}
	d.html, d.err, d.at, d.running = html, err, time.Now(), false
}

func (r *reports) make(ctx context.Context, domain string) (template.HTML, error) {
	sources, err := r.console.sources(r.console.db)
	if err != nil {
		return "", err
	}
	in, err := sources.Client(ctx, "postmaster@"+domain)
	if err != nil {
		return "", err
	}
	report, err := preflight.Run(ctx, in)
	if err != nil {
		return "", err
	}
	forms, err := cure.Offer(ctx, r.console.Connect, in, report)
	if err != nil {
		return "", err
	}
	return render.Body(report, forms)
}

// preflight shows the last report that was kept with a batch.
func (c *console) preflight(w http.ResponseWriter, r *http.Request, s *session) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		c.refuse(w, s, &queue.Problem{Noun: queue.NounBatch, Name: r.PathValue("id"), Err: queue.ErrNotFound})
		return
	}
	if _, err := c.db.Status(r.Context(), id); err != nil {
		c.refuse(w, s, err)
		return
	}
	kept, err := c.db.LastPreflight(r.Context(), id)
	if err != nil {
		c.refuse(w, s, err)
		return
	}
	again := template.HTML(fmt.Sprintf(`<form class="tools" method="post"><input type="hidden" name="form" value="%s"><button>Check now</button><a href="/batch/%d">Batch %[2]d</a></form>`,
		template.HTMLEscapeString(s.form), id))
	body := template.HTML(`<p class="quiet">No preflight of this batch was made yet.</p>`)
	if kept != nil {
		report, err := preflight.Decode(kept.Report)
		if err == nil {
			body, err = render.Body(report, "")
		}
		if err != nil {
			c.refuse(w, s, err)
			return
		}
	}
	title := fmt.Sprintf("Preflight of batch %d", id)
	c.write(w, s, http.StatusOK, "shell",
		view{Title: title, Crumb: title, Sections: []section{{ID: "again", HTML: again}, {ID: "report", HTML: body}}})
}

// check makes a preflight and keeps it with the batch, under the name of the person.
func (c *console) check(w http.ResponseWriter, r *http.Request, s *session) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		c.refuse(w, s, &queue.Problem{Noun: queue.NounBatch, Name: r.PathValue("id"), Err: queue.ErrNotFound})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), actTime)
	defer cancel()
	err = c.as(ctx, s, func(db *queue.DB) error {
		sources, err := c.sources(db)
		if err != nil {
			return err
		}
		in, err := sources.Campaign(ctx, gather.Campaign{ID: id})
		if err != nil {
			return err
		}
		report, err := preflight.Run(ctx, in)
		if err != nil {
			return err
		}
		text, err := report.Encode()
		if err != nil {
			return err
		}
		return db.KeepPreflight(ctx, id,
			queue.KeptPreflight{Verdict: string(report.Summary.Readiness), Line: report.Line(), Report: text})
	})
	if err != nil {
		c.refuse(w, s, err)
		return
	}
	c.log.Info("console: preflight", "person", s.person, "batch", id)
	http.Redirect(w, r, fmt.Sprintf("/batch/%d/preflight", id), http.StatusSeeOther)
}
