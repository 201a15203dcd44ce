package console

import (
	"bytes"
	"context"
	_ "embed" // templates, style and script
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/page"
	"enotify/queue"
)

var (
	//go:embed console.css
	style string
	//go:embed console.js
	script string
	//go:embed shell.html
	shellText string
	//go:embed parts.html
	partsText string
)

// policy allows the style of the page, the one script of this server, and forms to it.
var policy = page.PolicyOf(style, "script-src 'self'; connect-src 'self'; form-action 'self'")

var templates = page.New("console", shellText+partsText,
	template.FuncMap{"title": title, "count": figures.Count, "clock": figures.Clock})

// A view is what a page of the console is made of.
type view struct {
	Top                page.Top
	Session            *shown
	Title, Text, Crumb string
	Tone, Back, Button string
	Trouble            string
	At, Date           string // for programs, and for people
	Live               string // path of the page whose parts are put in place
	Sections           []section
	Asks               bool // sign in by token
	Choices            []choice
	Fields             []field
}

// shown is what a page says of the session.
type shown struct {
	Person, Form string
	Leaves       bool // it can be ended
}

type choice struct {
	Value, Label string
	First        bool
}

type field struct{ Name, Label, Value, Hint string }

// write shows a page by one of the templates of the shell.
func (c *console) write(w http.ResponseWriter, s *session, code int, name string, v view) {
	v.Top = page.Served("en", v.Title+" · enotify")
	v.Top.Style = page.Style(style)
	v.Session = c.shown(s)
	now := time.Now()
	v.At, v.Date = now.Format(time.RFC3339), now.Format("2 January 2006, 15:04:05 MST")
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, v); err != nil {
		c.log.Error("console: a page could not be made", "error", err)
		http.Error(w, "this page could not be made; the log says why", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes())
}

func (c *console) shown(s *session) *shown {
	if s == nil {
		return nil
	}
	return &shown{s.person, s.form, s.token != ""}
}

// fail shows what went wrong and what to do.
func (c *console) fail(w http.ResponseWriter, s *session, code int, title, text string) {
	c.write(w, s, code, "message", view{Title: title, Text: text, Tone: "warn", Back: "/"})
}

// refuse shows an error of the queue.
func (c *console) refuse(w http.ResponseWriter, s *session, err error) {
	switch {
	case errors.Is(err, queue.ErrNotFound):
		c.fail(w, s, http.StatusNotFound, "There is no such thing", err.Error())
	case errors.Is(err, queue.ErrDenied):
		c.fail(w, s, http.StatusForbidden, "The console may not do that", err.Error()+
			"; its login of the database needs: GRANT enotify_admin")
	case errors.Is(err, queue.ErrAway), errors.Is(err, context.DeadlineExceeded):
		c.fail(w, s, http.StatusServiceUnavailable, "The database does not answer", "Try again in a moment. "+
			err.Error())
	default:
		c.fail(w, s, http.StatusUnprocessableEntity, "That does not work", err.Error())
	}
}

func (c *console) script(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	_, _ = w.Write([]byte(script))
}

// page shows a page that is made of parts.
func (c *console) page(w http.ResponseWriter, r *http.Request, s *session) {
	t, err := c.board.topic(r.Context(), r.URL.EscapedPath())
	if err != nil {
		c.refuse(w, s, err)
		return
	}
	c.board.refresh(r.Context(), t)
	title := titleOf(r.URL.Path)
	c.write(w, s, http.StatusOK, "shell",
		view{Title: title, Crumb: title, Live: r.URL.EscapedPath(), Sections: c.board.show(t)})
}

// title begins with a capital letter.
func title(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

// titleOf is the title of a page by its path: batch 42, client town.example.
func titleOf(path string) string {
	words := strings.Split(strings.Trim(path, "/"), "/")
	if words[0] == "" {
		return "Overview"
	}
	words[0] = title(words[0])
	return strings.Join(words, " ")
}

// parts are those of the page at a path.
func (c *console) parts(ctx context.Context, path string) ([]part, error) {
	words := strings.Split(strings.Trim(path, "/"), "/")
	for i := range words {
		word, err := url.PathUnescape(words[i])
		if err != nil {
			return nil, &queue.Problem{Noun: "page", Name: path, Err: queue.ErrNotFound}
		}
		words[i] = word
	}
	switch {
	case path == "/":
		return c.overview(), nil
	case len(words) == 2 && words[0] == "batch", len(words) == 3 && words[0] == "message":
		id, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil || id < 1 {
			return nil, &queue.Problem{Noun: queue.NounBatch, Name: words[1], Err: queue.ErrNotFound}
		}
		if _, err := c.db.Status(ctx, id); err != nil {
			return nil, err
		}
		if words[0] == "message" {
			return c.message(ctx, id, words[2])
		}
		return c.batch(id), nil
	case len(words) == 2 && words[0] == "client", len(words) == 3 && words[0] == "client" && words[2] == "dns":
		client, err := c.db.Client(ctx, words[1])
		if err != nil {
			return nil, err
		}
		if len(words) == 3 {
			return c.zoneParts(client.Domain), nil
		}
		return c.client(client.Domain), nil
	case len(words) == 2 && words[0] == "site":
		return c.site(words[1]), nil
	case len(words) == 2 && words[0] == "address":
		return c.address(words[1]), nil
	case path == "/egress":
		return []part{{"addresses", 2 * time.Second, c.addresses}}, nil
	case path == "/bounces":
		return c.bounces(), nil
	}
	return nil, &queue.Problem{Noun: "page", Name: path, Err: queue.ErrNotFound}
}

// fill fills a template of a part.
func fill(name string, data any) (template.HTML, error) {
	var b strings.Builder
	err := templates.ExecuteTemplate(&b, name, data)
	return template.HTML(b.String()), err
}

// live streams the parts of a page that change (Server-Sent Events). It ends when the
// session does.
func (c *console) live(w http.ResponseWriter, r *http.Request, s *session) {
	path := r.URL.Query().Get("path")
	if !c.streams.take(s.person) {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer c.streams.giveBack(s.person)
	t, err := c.board.topic(r.Context(), path)
	if err != nil {
		http.Error(w, "there is no such page", http.StatusNotFound)
		return
	}
	changed, stop := c.board.watch(t)
	defer stop()
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	told := map[string]template.HTML{}
	alive := time.NewTicker(lookEvery)
	defer alive.Stop()
	quiet := time.Now()
	for first := true; ; first = false {
		news := map[string]string{}
		for _, part := range c.board.show(t) {
			if before, known := told[part.ID]; (!known || before != part.HTML) && !part.Away {
				told[part.ID] = part.HTML
				news[part.ID] = string(part.HTML)
			}
		}
		text := ""
		switch {
		case len(news) > 0:
			data, err := json.Marshal(news)
			if err != nil {
				return
			}
			text = "data: " + string(data) + "\n\n"
		case first || time.Since(quiet) > 15*time.Second:
			text = ": still here\n\n"
		}
		if text != "" {
			quiet = time.Now()
			if out.SetWriteDeadline(time.Now().Add(10*time.Second)) != nil {
				return
			}
			if _, err := w.Write([]byte(text)); err != nil || out.Flush() != nil {
				return
			}
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-alive.C:
			if !c.sessions.holds(s, c.sessions.certified(r), time.Now()) {
				_ = out.SetWriteDeadline(time.Now().Add(10 * time.Second))
				_, _ = w.Write([]byte("event: ended\ndata: -\n\n"))
				_ = out.Flush()
				return
			}
		}
	}
}

// login takes a token.
func (c *console) login(w http.ResponseWriter, r *http.Request) {
	v := view{Title: "Sign in", Asks: c.Tokens != ""}
	if r.Method == http.MethodPost && v.Asks {
		switch {
		case !c.sessions.guesses.mayTry(r):
			w.Header().Set("Retry-After", "10")
			v.Text = "Too many attempts. Try again in a moment."
			c.write(w, nil, http.StatusTooManyRequests, "login", v)
			return
		default:
			if person := c.sessions.tokens.person(r.PostFormValue("token"), time.Now()); person != "" {
				c.sessions.open(w, person, r.PostFormValue("token"))
				c.log.Info("console: signed in", "person", person)
				http.Redirect(w, r, "/", http.StatusSeeOther)
				return
			}
			c.sessions.guesses.wrong(r)
			v.Text = "That token is unknown, or has ended. Ask the operator for a new one."
			c.write(w, nil, http.StatusUnauthorized, "login", v)
			return
		}
	}
	if s := c.sessions.of(w, r); s != nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	c.write(w, nil, http.StatusOK, "login", v)
}

func (c *console) logout(w http.ResponseWriter, r *http.Request, s *session) {
	c.sessions.end(w, s)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// find redirects to the page of what was typed: a batch, a client, a site, or an address.
func (c *console) find(w http.ResponseWriter, r *http.Request, s *session) {
	q := strings.TrimSpace(r.URL.Query().Get("q"))
	to := "/site/" + url.PathEscape(q)
	switch _, err := strconv.ParseUint(q, 10, 63); {
	case q == "" || len(q) > 320:
		to = "/"
	case err == nil:
		to = "/batch/" + q
	case strings.Contains(q, "@"):
		to = "/address/" + url.PathEscape(q)
	default:
		if client, err := c.db.Client(r.Context(), q); err == nil {
			to = "/client/" + url.PathEscape(client.Domain)
		}
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}
