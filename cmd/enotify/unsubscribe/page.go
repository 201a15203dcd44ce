// Package unsubscribe serves the page behind the List-Unsubscribe field of our
// mail (RFC 8058).
package unsubscribe

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"enotify/queue"
	"enotify/sender/token"
)

// A Page unsubscribes the recipient of a signed address, for the client of the
// message alone, when somebody posts to that address. A GET changes nothing,
// since programs that scan mail follow every link; it shows one button.
type Page struct {
	DB *queue.DB
	// Open verifies the token of an address, as [keyring.Keyring] does.
	Open func(ctx context.Context, p token.Purpose, text string) (token.Subject, error)
	Log  *slog.Logger

	// lookups bounds what strangers can ask of the database. A token that we did
	// not sign asks nothing of it, so there is no limit per peer: to guess the
	// 80 bits of one signature takes 10^10 years at a million a second, and all
	// peers have the address of the web server in front of us anyway.
	lookups *rate.Limiter
}

// New returns the page of a database.
func New(db *queue.DB, open func(ctx context.Context, p token.Purpose, text string) (token.Subject, error), log *slog.Logger) *Page {
	return &Page{DB: db, Open: open, Log: log, lookups: rate.NewLimiter(lookupRate, lookupBurst)}
}

const (
	lookupRate    = 100 // a second: a campaign's worth of readers who click at once is less
	lookupBurst   = 500
	maxPostOctets = 4 << 10 // of a form with one field
	lookupTime    = 5 * time.Second
)

// Register adds the page to mux, also at the path that base ends in.
func (u *Page) Register(mux *http.ServeMux, base string) {
	mux.Handle("/u/{token}", u)
	if parsed, err := url.Parse(base); err == nil && parsed.Path != "" {
		mux.Handle(parsed.Path+"/u/{token}", u)
	}
}

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var pageTemplate = template.Must(template.New("unsubscribe").Parse(pageHTML))

// The style is the page's own and nothing else of it is: no script, no image, nothing from elsewhere.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}()

// A view is what the page says: whom it is about, or a title and a text.
type view struct {
	Style           template.CSS
	Client, Address string // whose mail it is about; "" when that is not known
	Done            bool
	Title, Text     string // when it is about nobody
}

func (u *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for _, field := range [][2]string{
		{"Content-Security-Policy", pagePolicy}, {"Referrer-Policy", "no-referrer"}, {"X-Content-Type-Options", "nosniff"},
		{"Cache-Control", "no-store"}, {"X-Robots-Tag", "noindex"}, {"Content-Type", "text/html; charset=utf-8"},
	} {
		h.Set(field[0], field[1])
	}
	post := r.Method == http.MethodPost
	if !post && r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD, POST")
		u.show(w, http.StatusMethodNotAllowed, view{Title: "That does not work", Text: "This page is to be looked at, or its button pressed."})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), lookupTime)
	defer cancel()
	about, err := u.Open(ctx, token.Unsubscribe, r.PathValue("token"))
	if err != nil {
		u.fail(w, err)
		return
	}
	if !u.lookups.Allow() {
		h.Set("Retry-After", "10")
		u.show(w, http.StatusServiceUnavailable, view{Title: "Too busy just now", Text: "Nothing was changed. Please try again in a minute."})
		return
	}
	var who queue.Addressee
	if post {
		// Whatever the form says: who posts has decided, and some programs spell its field in their own way.
		if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxPostOctets)); err != nil {
			u.show(w, http.StatusBadRequest, view{Title: "That does not work", Text: "The form could not be read. Nothing was changed."})
			return
		}
		who, err = u.DB.Unsubscribe(ctx, about.Batch, about.Seq, "one-click")
	} else {
		who, err = u.DB.Addressee(ctx, about.Batch, about.Seq)
	}
	if err != nil {
		u.fail(w, err)
		return
	}
	if post {
		u.Log.Info("unsubscribed", "client", who.Client, "batch", about.Batch, "how", "one-click")
	}
	u.show(w, http.StatusOK, view{Client: who.Client, Address: masked(who.Address), Done: post})
}

// LinkUnknown is the title of the page for an address that we did not sign.
const LinkUnknown = "This link is not known here"

func (u *Page) fail(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, token.ErrMalformed), errors.Is(err, token.ErrForged), errors.Is(err, token.ErrUnknownKey), errors.Is(err, queue.ErrNotFound):
		u.show(w, http.StatusNotFound, view{Title: LinkUnknown, Text: "It may have been cut short, or be very old. Please take it from the latest message, or answer that one."})
	default:
		u.Log.Warn("nobody can unsubscribe", "error", err)
		w.Header().Set("Retry-After", "60")
		u.show(w, http.StatusServiceUnavailable, view{Title: "Not possible just now", Text: "Nothing was changed. Please try again in a minute."})
	}
}

func (u *Page) show(w http.ResponseWriter, code int, v view) {
	v.Style = template.CSS(pageCSS)
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
