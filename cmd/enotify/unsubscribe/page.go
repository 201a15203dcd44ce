// Package unsubscribe serves the page behind the List-Unsubscribe field of our
// mail (RFC 8058).
package unsubscribe

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"enotify/cmd/enotify/page"
	"enotify/queue"
	"enotify/sender/token"
)

// A Page unsubscribes the recipient of a signed address, for the client of the
// message alone, when somebody posts to that address. A GET changes nothing,
// since programs that scan mail follow every link; it shows one button.
type Page struct {
	DB *queue.DB
	// Languages are those that the page speaks.
	Languages *Languages
	// Open verifies the token of an address, as [keyring.Keyring] does.
	Open func(ctx context.Context, p token.Purpose, text string) (token.Subject, error)
	Log  *slog.Logger

	// lookups bounds what strangers can ask of the database, and what the holder of one
	// link can. A token that we did not sign asks nothing of it, so there is no limit per
	// peer: to guess the 80 bits of one signature takes 10^10 years at a million a second,
	// and all peers have the address of the web server in front of us anyway.
	lookups *bound
}

// New returns the page of a database.
func New(db *queue.DB, languages *Languages,
	open func(ctx context.Context, p token.Purpose, text string) (token.Subject, error), log *slog.Logger) *Page {
	return &Page{DB: db, Languages: languages, Open: open, Log: log, lookups: newBound()}
}

const (
	lookupRate    = 100 // a second: a campaign's worth of readers who click at once is less
	lookupBurst   = 500
	maxPostOctets = 4 << 10 // of a form with one field
	lookupTime    = 5 * time.Second
)

// Register adds the page to mux, also below the path that base ends in, whatever that is.
func (u *Page) Register(mux *http.ServeMux, base string) {
	pages := http.NewServeMux()
	pages.Handle("/u/{token}", u)
	pages.HandleFunc("/u/{token}/again", u.again)
	below := ""
	if parsed, err := url.Parse(base); err == nil {
		below = strings.TrimSuffix(parsed.Path, "/")
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, below+"/u/") {
			http.StripPrefix(below, pages).ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})
}

//go:embed page.html
var pageHTML string

var pageTemplate = page.New("unsubscribe", pageHTML, nil)

// The style is the page's own and nothing else of it is: no script, no image, nothing from elsewhere.
var pagePolicy = page.Policy("form-action 'self'")

// A view is what the page says: whom it is about, or what failed and a text.
type view struct {
	Top                     page.Top
	Words                   Words
	Sender, Client, Address string // "" when no link of ours led here
	Done                    bool
	Again, Not              bool   // the reader is subscribed again, or cannot be
	Token                   string // of the link
	Failure, Text           string // when it is about nobody
}

// A run is a part of a text, the names in it strong.
type run struct {
	Text   string
	Strong bool
}

// Fill puts the names into a text.
func (v view) Fill(text string) (runs []run) {
	for text != "" {
		at, end := strings.IndexByte(text, '{'), strings.IndexByte(text, '}')
		if at < 0 || end < at {
			return append(runs, run{Text: text})
		}
		name := text[at : end+1]
		value, known := map[string]string{"{sender}": v.Sender, "{client}": v.Client, "{address}": v.Address}[name]
		if !known {
			value = name
		}
		runs = append(runs, run{Text: text[:at]}, run{Text: value, Strong: known})
		text = text[end+1:]
	}
	return runs
}

// Title is the question of the page.
func (v view) Title() string {
	text := ""
	for _, r := range v.Fill(v.Words.Ask) {
		text += r.Text
	}
	return text
}

func (u *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	setFields(h)
	post := r.Method == http.MethodPost
	if !post && r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD, POST")
		u.fail(w, r, http.StatusMethodNotAllowed, func(v Words) (string, string) { return v.Method, v.MethodTo })
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookupTime)
	defer cancel()
	about, ok := u.open(ctx, w, r)
	if !ok {
		return
	}
	var who queue.Addressee
	var err error
	if post {
		who, err = u.DB.Unsubscribe(ctx, about.Batch, about.Seq, "one-click")
	} else {
		who, err = u.DB.Addressee(ctx, about.Batch, about.Seq)
	}
	if err != nil {
		u.refuse(w, r, err)
		return
	}
	if post {
		u.Log.Info("unsubscribed", "client", who.Client, "batch", about.Batch, "how", "one-click")
	}
	u.show(w, r, http.StatusOK, who.Lang,
		view{Sender: cmp.Or(who.FromName, who.Client), Client: who.Client, Address: masked(who.Address), Done: post,
			Token: r.PathValue("token")})
}

func setFields(h http.Header) {
	for _, field := range [][2]string{
		{"Content-Security-Policy", pagePolicy}, {"Referrer-Policy", "no-referrer"},
		{"X-Content-Type-Options", "nosniff"},
		{"Cache-Control", "no-store"}, {"X-Robots-Tag", "noindex"}, {"Content-Type", "text/html; charset=utf-8"},
	} {
		h.Set(field[0], field[1])
	}
}

// open reads the token of a request, and its form, whatever that says: who posts has
// decided, and some programs spell its field in their own way. It answers for itself
// when ok is false.
func (u *Page) open(ctx context.Context, w http.ResponseWriter, r *http.Request) (about token.Subject, ok bool) {
	about, err := u.Open(ctx, token.Unsubscribe, r.PathValue("token"))
	if err != nil {
		u.refuse(w, r, err)
		return about, false
	}
	if !u.lookups.allow(about) {
		w.Header().Set("Retry-After", "10")
		u.fail(w, r, http.StatusServiceUnavailable, func(v Words) (string, string) { return v.Busy, v.Later })
		return about, false
	}
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxPostOctets)); err != nil {
		u.fail(w, r, http.StatusBadRequest, func(v Words) (string, string) { return v.Method, v.Unreadable })
		return about, false
	}
	return about, true
}

// Mark is in every page of ours, whatever its language.
const Mark = `data-page="enotify-unsubscribe"`

// refuse answers for a link that leads to nobody, or a database that does not answer.
func (u *Page) refuse(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, token.ErrMalformed), errors.Is(err, token.ErrForged), errors.Is(err, token.ErrUnknownKey),
		errors.Is(err, queue.ErrNotFound):
		u.fail(w, r, http.StatusNotFound, func(v Words) (string, string) { return v.Unknown, v.UnknownTo })
	default:
		u.Log.Warn("nobody can unsubscribe", "error", err)
		w.Header().Set("Retry-After", "60")
		u.fail(w, r, http.StatusServiceUnavailable, func(v Words) (string, string) { return v.Away, v.Later })
	}
}

// fail shows a page that is about nobody.
func (u *Page) fail(w http.ResponseWriter, r *http.Request, code int, words func(Words) (failure, text string)) {
	_, known := u.Languages.choose("", r.Header.Get("Accept-Language"))
	failure, text := words(known)
	u.show(w, r, code, "", view{Failure: failure, Text: text})
}

// show writes the page in the language of the batch, or of the reader's browser.
func (u *Page) show(w http.ResponseWriter, r *http.Request, code int, lang string, v view) {
	tag, words := u.Languages.choose(lang, r.Header.Get("Accept-Language"))
	v.Words = words
	title := v.Failure
	switch {
	case v.Done:
		title = words.Done
	case v.Again:
		title = words.AgainDone
	case v.Not:
		title = words.AgainNot
	case title == "":
		title = v.Title()
	}
	v.Top = page.Served(tag, title)
	w.Header().Set("Content-Language", tag)
	w.WriteHeader(code)
	_ = pageTemplate.Execute(w, v) // an error means that the reader has gone
}

// masked is an address as far as somebody else may see it who has the link.
func masked(address string) string {
	local, domain := address, ""
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		local, domain = address[:at], address[at:]
	}
	for _, first := range local {
		return string(first) + "•••" + domain
	}
	return "•••" + domain
}
