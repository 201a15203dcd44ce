package console

import (
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	cookieName  = "enotify_console"
	maxSessions = 1000
	maxOfOne    = 100            // sessions of one person: a program that keeps no cookie opens one each time
	idleTime    = 12 * time.Hour // a session that nobody uses ends
)

// A session is a browser that came in.
type session struct {
	id     string
	form   string // token in every form: another site cannot know it
	token  string // it came in with; "" for this machine, or a certificate
	person string
	used   time.Time
}

// sessions are the browsers that came in, in memory: a restart ends them.
type sessions struct {
	tokens *tokens
	local  string // name of the person who needs no token; "": everyone needs one
	secure bool

	guesses guesses

	mu  sync.Mutex
	all map[string]*session
}

func newSessions(c Config) *sessions {
	s := &sessions{tokens: &tokens{file: c.Tokens}, secure: c.Cert != "",
		all: map[string]*session{}}
	if !c.locked() {
		s.local = c.Person
	}
	return s
}

// of returns the session of a request, and makes one where none is needed to come in; nil
// is a stranger. A session lasts as long as the token that it came in with.
func (s *sessions) of(w http.ResponseWriter, r *http.Request) *session {
	now := time.Now()
	person := s.certified(r)
	if cookie, err := r.Cookie(cookieName); err == nil {
		s.mu.Lock()
		found := s.all[cookie.Value]
		s.mu.Unlock()
		if found != nil && s.holds(found, person, now) {
			return found
		}
	}
	switch {
	case person != "":
	case s.local != "":
		person = s.local
	default:
		if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && s.guesses.mayTry(r) {
			if person = s.tokens.person(bearer, now); person != "" {
				return s.open(w, person, bearer)
			}
			s.guesses.wrong(r)
		}
		return nil
	}
	return s.open(w, person, "")
}

// holds reports whether a session still lets in.
func (s *sessions) holds(found *session, certified string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case now.Sub(found.used) > idleTime:
	case found.token != "" && s.tokens.person(found.token, now) != found.person:
	case found.token == "" && found.person != certified && found.person != s.local:
	default:
		found.used = now
		return true
	}
	delete(s.all, found.id)
	return false
}

// certified is the name in the certificate of the browser; "" is none. A certificate that
// ends while its connection is open lets nobody in any more.
func (s *sessions) certified(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return ""
	}
	shown := r.TLS.VerifiedChains[0][0]
	if time.Now().After(shown.NotAfter) {
		return ""
	}
	return shown.Subject.CommonName
}

// open begins a session. When there are too many, of the person or of all, the one that
// was used the longest time ago ends.
func (s *sessions) open(w http.ResponseWriter, person, token string) *session {
	made := &session{id: rand.Text(), form: rand.Text(), token: token, person: person, used: time.Now()}
	s.mu.Lock()
	var oldest, own *session
	n := 0
	for _, other := range s.all {
		if oldest == nil || other.used.Before(oldest.used) {
			oldest = other
		}
		if other.person != person {
			continue
		}
		if n++; own == nil || other.used.Before(own.used) {
			own = other
		}
	}
	switch {
	case n >= maxOfOne:
		delete(s.all, own.id)
	case len(s.all) >= maxSessions:
		delete(s.all, oldest.id)
	}
	s.all[made.id] = made
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: made.id, Path: "/", HttpOnly: true, Secure: s.secure,
		SameSite: http.SameSiteStrictMode})
	return made
}

// end ends a session.
func (s *sessions) end(w http.ResponseWriter, found *session) {
	s.mu.Lock()
	delete(s.all, found.id)
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, Secure: s.secure,
		SameSite: http.SameSiteStrictMode})
}

// posted reports whether a form was one of the session's.
func (f *session) posted(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.PostFormValue("form")), []byte(f.form)) == 1
}

// here reports whether a request names this machine: a page of another site may have a name
// that leads to 127.0.0.1.
func here(r *http.Request) bool {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return loopback(strings.Trim(host, "[]"))
}
