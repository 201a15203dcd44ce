package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"enotify/cmd/enotify/database"
	"enotify/cmd/enotify/destinations"
	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

// as lends a connection that names the person who acts, so that the log of a batch does.
func (c *console) as(ctx context.Context, s *session, do func(db *queue.DB) error) error {
	db, err := database.Open(ctx, c.DatabaseURL, 1, queue.As{Person: s.person})
	if err != nil {
		return err
	}
	defer db.Close()
	return do(db)
}

// A question is what a confirmation page asks before a verb is done.
type question struct {
	title, text, button, tone string
	reason                    bool // asks why
}

var questions = map[string]question{
	"pause":  {"Pause batch %d?", "After a second no message of it begins; those under way finish. It goes on when somebody resumes it.", "Pause it", "warn", true},
	"resume": {"Resume batch %d?", "It goes back into the queue and goes on in its turn. A blocked batch is checked by the guard first.", "Resume it", "info", false},
	"cancel": {"Cancel batch %d for good?", "Recipients who were not tried yet get nothing. This cannot be undone.",
		"Cancel it for good", "block", true},
	"requeue": {"Send again to recipients of batch %d?",
		"Choose who. Suppressed addresses stay left out, and the guard checks the client first.", "Send again", "warn",
		false},
}

// verbOf reads what a request is about.
func (c *console) verbOf(r *http.Request) (queue.Status, question, error) {
	q, known := questions[r.PathValue("verb")]
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id < 1 || !known {
		return queue.Status{}, q, &queue.Problem{Noun: "page", Name: r.URL.Path, Err: queue.ErrNotFound}
	}
	b, err := c.db.Status(r.Context(), id)
	if err != nil {
		return b, q, err
	}
	if !slices.ContainsFunc(acts(b), func(a act) bool { return a.Verb == r.PathValue("verb") }) {
		return b, q, fmt.Errorf("batch %d is %s, so there is nothing to %s", id, b.State, r.PathValue("verb"))
	}
	return b, q, nil
}

// ask shows what a verb would do, with the form that does it.
func (c *console) ask(w http.ResponseWriter, r *http.Request, s *session) {
	b, q, err := c.verbOf(r)
	if err != nil {
		c.refuse(w, s, err)
		return
	}
	v := view{Title: fmt.Sprintf(q.title, b.ID), Button: q.button, Tone: q.tone, Back: fmt.Sprint("/batch/", b.ID)}
	v.Text = fmt.Sprintf("%s, from %s: %s of %s have an outcome. %s", term.Clip(b.Subject, 120), b.Client,
		figures.Count(b.Settled()), figures.Some(b.Total, "recipient"), q.text)
	if q.reason {
		v.Fields = []field{{"reason", "Why, for the log", "", ""}}
	}
	if r.PathValue("verb") == "requeue" {
		classes, err := c.db.Requeueable(r.Context(), b.ID, "", 1)
		if err != nil {
			c.refuse(w, s, err)
			return
		}
		for i, k := range classes {
			v.Choices = append(v.Choices,
				choice{k.Class, fmt.Sprintf("%s: %s, and %s of them are suppressed", k.Class,
					figures.Some(k.Alike, "recipient"), figures.Count(k.AlikeSuppressed)), i == 0})
		}
		if len(classes) == 0 {
			c.refuse(w, s, fmt.Errorf("no recipient of batch %d can be sent to again", b.ID))
			return
		}
	}
	c.write(w, s, http.StatusOK, "ask", v)
}

// steer does what a confirmation page asked, and records who did it.
func (c *console) steer(w http.ResponseWriter, r *http.Request, s *session) {
	b, _, err := c.verbOf(r)
	if err != nil {
		c.refuse(w, s, err)
		return
	}
	verb, reason := r.PathValue("verb"), term.Clip(strings.TrimSpace(r.PostFormValue("reason")), 300)
	err = c.as(r.Context(), s, func(db *queue.DB) error {
		switch verb {
		case "pause":
			return db.Pause(r.Context(), b.ID, reason)
		case "resume":
			return db.Resume(r.Context(), b.ID)
		case "cancel":
			return db.Cancel(r.Context(), b.ID, reason)
		}
		_, _, err := db.Requeue(r.Context(), b.ID, r.PostFormValue("class"), nil)
		return err
	})
	if err != nil {
		c.refuse(w, s, err)
		return
	}
	c.log.Info("console: steered", "person", s.person, "batch", b.ID, "verb", verb, "reason", reason)
	http.Redirect(w, r, fmt.Sprint("/batch/", b.ID), http.StatusSeeOther)
}

// limitFields are those of the form of limits.
func limitFields(r *http.Request, d queue.Destination) []field {
	value := func(name, now string) string {
		if r.Method == http.MethodPost {
			return r.PostFormValue(name)
		}
		return now
	}
	rate := ""
	if d.Rate != nil {
		rate = figures.FormatRate(*d.Rate)
	}
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	return []field{
		{"rate", "Rate", value("rate", rate), "10/s, 300/min, 5000/h or unlimited; empty leaves it as it is"},
		{"burst", "Burst: messages that may leave at once after a quiet time", value("burst", number(d.Burst)), ""},
		{"connections", "Connections at the same time", value("connections", number(d.Connections)), ""},
		{"per", "Messages per connection", value("per", number(d.PerConnection)), ""},
	}
}

// destination reads whose limits are asked for, and what was set for it.
func (c *console) destination(r *http.Request) (queue.Destination, error) {
	name := r.PathValue("name")
	known, err := destinations.ParseName(r.Context(), c.db, name)
	if err != nil {
		return queue.Destination{}, err
	}
	all, err := c.db.Destinations(r.Context())
	if err != nil {
		return queue.Destination{}, err
	}
	if i := slices.IndexFunc(all, func(d queue.Destination) bool { return d.Name == known }); i >= 0 {
		return all[i], nil
	}
	return queue.Destination{Name: known}, nil
}

func (c *console) limitsView(r *http.Request, d queue.Destination, trouble string) view {
	text := "Running nodes follow within a second. What is left empty stays as it is."
	if d.UpdatedBy != "" {
		text += fmt.Sprintf(" The last change was by %s at %s.", d.Who(), figures.Clock(d.UpdatedAt))
	}
	return view{Title: "Set the limits of " + d.Name, Text: text, Tone: "info", Button: "Set them", Back: "/site/" +
		url.PathEscape(d.Name), Fields: limitFields(r, d), Trouble: trouble}
}

func (c *console) askLimits(w http.ResponseWriter, r *http.Request, s *session) {
	d, err := c.destination(r)
	if err != nil {
		c.refuse(w, s, err)
		return
	}
	c.write(w, s, http.StatusOK, "ask", c.limitsView(r, d, ""))
}

func (c *console) setLimits(w http.ResponseWriter, r *http.Request, s *session) {
	before, err := c.destination(r)
	if err != nil {
		c.refuse(w, s, err)
		return
	}
	d, err := readLimits(r, before.Name)
	if err != nil {
		c.write(w, s, http.StatusUnprocessableEntity, "ask", c.limitsView(r, before, err.Error()))
		return
	}
	if err := c.as(r.Context(), s, func(db *queue.DB) error { return db.SetDestination(r.Context(), d) }); err != nil {
		c.refuse(w, s, err)
		return
	}
	c.log.Info("console: limits set", "person", s.person, "destination", d.Name, "rate", r.PostFormValue("rate"),
		"burst", d.Burst, "connections", d.Connections, "per_connection", d.PerConnection)
	http.Redirect(w, r, "/site/"+url.PathEscape(d.Name), http.StatusSeeOther)
}

// readLimits reads the form.
func readLimits(r *http.Request, name string) (queue.Destination, error) {
	d := queue.Destination{Name: name}
	if text := strings.TrimSpace(r.PostFormValue("rate")); text != "" {
		rate, err := figures.ParseRate(text)
		if err != nil {
			return d, fmt.Errorf("Rate: %w", err) //nolint:staticcheck // the label of the field
		}
		d.Rate = &rate
	}
	for _, n := range []struct {
		name, label string
		to          *int
	}{{"burst", "Burst", &d.Burst}, {"connections", "Connections", &d.Connections},
		{"per", "Messages per connection", &d.PerConnection}} {
		text := strings.TrimSpace(r.PostFormValue(n.name))
		if text == "" {
			continue
		}
		number, err := strconv.ParseInt(text, 10, 31)
		if err != nil || number < 1 {
			return d, fmt.Errorf("%s: %q is no number from 1 on", n.label, term.Clip(text, 20))
		}
		*n.to = int(number)
	}
	if d.Rate == nil && d.Burst == 0 && d.Connections == 0 && d.PerConnection == 0 {
		return d, errors.New("nothing to set: all fields are empty")
	}
	return d, nil
}

// actTime bounds what a person waits for.
const actTime = time.Minute
