package submit

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"enotify/cmd/enotify/listen"
	"enotify/queue"
)

// A Door takes batches over HTTP.
type Door struct {
	DB  *queue.DB // for this alone: the node's own connections are not waited for
	Dir string    // for bodies while they come in; "" is the system's
	Log *slog.Logger

	mu      sync.Mutex
	checks  map[queue.TokenCheck]int32
	readAt  time.Time
	asking  sync.Mutex // held while a token is asked for
	guests  map[int32]*guest
	spooled quota
	turns   chan struct{} // transactions at once
	files   chan struct{} // bodies with attachments at once
}

// Bounds of requests.
const (
	perSecond       = 20 // requests of a token, on average
	burst           = 50 // and at once after a quiet time
	atATime         = 20 // requests of a token that are answered or wait for their turn
	bodiesAtATime   = 4  // requests with a body, of a token
	maxTurns        = 4  // transactions at once, one of a token
	maxWithFiles    = 8  // bodies with attachments at once, one of a token
	transactionTime = 10 * time.Minute
	// Connections that a door needs: one for each turn, and some for short questions.
	Connections = maxTurns + 3
)

// A guest is what the holders of one token do.
type guest struct {
	id      int32
	holder  queue.Holder
	limit   *rate.Limiter
	places  chan struct{} // one for each request
	bodies  chan struct{}
	turn    chan struct{}
	files   chan struct{}
	spooled quota
	barred  atomic.Int64 // from a head start, until this time
}

// Serve takes requests until ctx ends. Those under way then may finish for a while.
func (d *Door) Serve(ctx context.Context, l *Listener) error {
	d.prepare()
	if err := d.readTokens(ctx); err != nil {
		return err
	}
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() {
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := d.readTokens(ctx); err != nil && ctx.Err() == nil {
				d.Log.Warn("tokens could not be read; the last ones hold", "error", err)
			}
		}
	})
	server := &http.Server{Handler: d.Handler(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 64 << 10, ConnState: l.bounded.State, ConnContext: l.bounded.Context,
		ErrorLog: slog.NewLogLogger(d.Log.Handler(), slog.LevelDebug)}
	stop := context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
		_ = server.Close()
	})
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (d *Door) prepare() {
	d.guests, d.turns = map[int32]*guest{}, make(chan struct{}, maxTurns)
	d.files = make(chan struct{}, maxWithFiles)
	d.spooled.most = maxSpooled
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
}

// readTokens learns which tokens are accepted. The database checks again.
func (d *Door) readTokens(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	checks, err := d.DB.TokenChecks(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checks, d.readAt = checks, time.Now()
	return nil
}

// Handler is the interface that openapi.json describes.
func (d *Door) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/openapi.json", describe)
	for pattern, serve := range map[string]func(*guest, http.ResponseWriter, *http.Request) error{
		"POST /v1/batches":                 d.create,
		"GET /v1/batches/{id}":             d.show,
		"POST /v1/batches/{id}/recipients": d.stage,
		"POST /v1/batches/{id}/submit":     d.submit,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, q *http.Request) {
			g, err := d.admit(q)
			if err == nil {
				defer func() { <-g.places }()
				err = serve(g, w, q)
			}
			if err != nil {
				d.refuse(w, q, err)
			}
		})
	}
	return mux
}

// admit finds who it is before anything of the body is read, and takes one of its places.
func (d *Door) admit(q *http.Request) (*guest, error) {
	scheme, token, _ := strings.Cut(q.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return nil, problem(http.StatusUnauthorized,
			"send the header Authorization: Bearer TOKEN; an operator makes a token with enotify token add")
	}
	key, check := queue.TokenKeyOf(token)
	id, ok := d.known(q.Context(), check)
	if !ok {
		return nil, problem(http.StatusUnauthorized, "the token is not known, or retired")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.guests[id]
	if g == nil {
		g = &guest{id: id, holder: d.DB.Holder(key), limit: rate.NewLimiter(perSecond, burst),
			places: make(chan struct{}, atATime),
			bodies: make(chan struct{}, bodiesAtATime), turn: make(chan struct{}, 1), files: make(chan struct{}, 1)}
		g.spooled.most = maxSpooledOfOne
		d.guests[id] = g
	}
	if !g.limit.Allow() {
		return nil, problem(http.StatusTooManyRequests, "the token has sent too many requests; it may send 20 a second")
	}
	select {
	case g.places <- struct{}{}:
		listen.Known(q.Context())
		return g, nil
	default:
		return nil, problem(http.StatusTooManyRequests, "20 requests of the token are under way; wait until one is done")
	}
}

// known finds a token. One that was made just now is asked for, but strangers do not
// keep the database busy: it is asked ten times a second at most.
func (d *Door) known(ctx context.Context, check queue.TokenCheck) (id int32, ok bool) {
	find := func() (id int32, ok, fresh bool) {
		d.mu.Lock()
		defer d.mu.Unlock()
		id, ok = d.checks[check]
		return id, ok, time.Since(d.readAt) < 100*time.Millisecond
	}
	id, ok, _ = find()
	if ok {
		return id, true
	}
	d.asking.Lock()
	defer d.asking.Unlock()
	id, ok, fresh := find()
	if ok || fresh || d.readTokens(ctx) != nil {
		return id, ok
	}
	id, ok, _ = find()
	return id, ok
}

// inTurn runs a transaction: one of a token at a time, and few in all. Tokens wait in
// the order in which they came.
func (d *Door) inTurn(ctx context.Context, g *guest, f func(ctx context.Context) error) error {
	for _, place := range []chan struct{}{g.turn, d.turns} {
		select {
		case place <- struct{}{}:
			defer func() { <-place }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	ctx, cancel := context.WithTimeout(ctx, transactionTime)
	defer cancel()
	return f(ctx)
}
