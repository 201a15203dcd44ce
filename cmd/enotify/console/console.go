package console

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"enotify/cmd/enotify/database"
	"enotify/cmd/enotify/listen"
	"enotify/queue"
)

// A console serves the pages.
type console struct {
	Config
	log      *slog.Logger
	db       *queue.DB // one connection, for all that is shown
	sessions *sessions
	board    *board
	paces    paces
	reports  reports
	streams  streams
}

const (
	maxStreams      = 200
	maxStreamsOfOne = 100      // pages that one person has open
	maxForm         = 16 << 10 // octets of a posted form
)

// bounds of connections: each stream has one, unless the browser speaks HTTP/2.
var bounds = listen.Bounds{Most: 400, OfOne: 250}

// A Server is a console that has its address.
type Server struct {
	Config
	listener net.Listener
	state    func(net.Conn, http.ConnState) // of its connections
}

// Listen takes the address of a console, so that a port in use is known at once.
func Listen(c Config) (*Server, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	return c.listen()
}

// URL is where a person finds it.
func (v *Server) URL() string { return v.url(v.listener.Addr()) }

// Close gives the address back.
func (v *Server) Close() error { return v.listener.Close() }

// Run serves it until ctx ends.
func (v *Server) Run(ctx context.Context) error {
	c, listener := v.Config, v.listener
	defer listener.Close()
	db, err := database.Open(ctx, c.DatabaseURL, 1, queue.As{Person: "console"})
	if err != nil {
		return err
	}
	defer db.Close()
	s := &console{Config: c, log: c.Log, db: db, sessions: newSessions(c)}
	s.reports.console = s
	s.board = &board{parts: s.parts, topics: map[string]*topic{}}
	server := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 2 * time.Minute,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ConnState:   v.state,
		BaseContext: func(net.Listener) context.Context { return ctx }, // ends the streams
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	})
	defer stop()
	go s.board.run(ctx)
	c.Log.Info("console", "url", v.URL())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("--console: %w", err)
	}
	return nil
}

// listen takes the address.
func (c *Config) listen() (*Server, error) {
	secure, err := c.tls()
	if err != nil {
		return nil, err
	}
	listener, err := listen.At("--console", c.Listen)
	if err != nil {
		return nil, err
	}
	bounded := listen.Bound(listener, bounds)
	listener = bounded
	if secure != nil {
		listener = tls.NewListener(bounded, secure)
	}
	return &Server{*c, listener, bounded.State}, nil
}

// handler routes the requests. Whatever is refused is refused before the database is asked.
func (c *console) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /console.js", c.script)
	mux.HandleFunc("GET /login", c.login)
	mux.HandleFunc("POST /login", c.login)
	mux.HandleFunc("POST /logout", c.inside(c.logout))
	mux.HandleFunc("GET /live", c.inside(c.live))
	mux.HandleFunc("GET /find", c.inside(c.find))
	for _, path := range []string{"/{$}", "/batch/{id}", "/client/{domain}", "/site/{name}", "/client/{domain}/dns",
		"/message/{id}/{seq}", "/address/{address}", "/bounces",
		"/egress"} {
		mux.HandleFunc("GET "+path, c.inside(c.page))
	}
	mux.HandleFunc("GET /batch/{id}/preflight", c.inside(c.preflight))
	mux.HandleFunc("POST /batch/{id}/preflight", c.inside(c.check))
	mux.HandleFunc("GET /batch/{id}/{verb}", c.inside(c.ask))
	mux.HandleFunc("POST /batch/{id}/{verb}", c.inside(c.steer))
	mux.HandleFunc("GET /site/{name}/limits", c.inside(c.askLimits))
	mux.HandleFunc("POST /site/{name}/limits", c.inside(c.setLimits))
	return c.guarded(http.NewCrossOriginProtection().Handler(mux))
}

// guarded adds the header fields of every answer, and bounds what is read.
func (c *console) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for _, field := range [][2]string{
			{"Content-Security-Policy", policy}, {"Referrer-Policy", "same-origin"},
			{"X-Content-Type-Options", "nosniff"},
			{"Cache-Control", "no-store"}, {"X-Robots-Tag", "noindex"}, {"Cross-Origin-Opener-Policy", "same-origin"},
			{"Cross-Origin-Resource-Policy", "same-origin"},
		} {
			h.Set(field[0], field[1])
		}
		if !c.locked() && !here(r) {
			http.Error(w, "this console is for this machine; open it at its address, such as http://127.0.0.1:9027/",
				http.StatusMisdirectedRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

// inside is for who has come in; a form must be one of the session's.
func (c *console) inside(handle func(w http.ResponseWriter, r *http.Request, s *session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := c.sessions.of(w, r)
		switch {
		case s == nil && r.Method == http.MethodGet && r.URL.Path != "/live":
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		case s == nil:
			http.Error(w, "the session has ended; sign in again", http.StatusUnauthorized)
		case r.Method == http.MethodPost && !s.posted(r):
			c.fail(w, s, http.StatusForbidden, "The form is not from this session",
				"Nothing was changed. Open the page again and press its button.")
		default:
			handle(w, r, s)
		}
	}
}
