package unsubscribe_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"enotify/cmd/enotify/unsubscribe"
	"enotify/sender/token"
)

// A link that we did not sign is answered in the language of the reader's browser, and
// the page can be told from those of others in any language.
func TestPageForAnUnknownLink(t *testing.T) {
	t.Parallel()
	languages, err := unsubscribe.Load("")
	if err != nil {
		t.Fatal(err)
	}
	page := unsubscribe.New(nil, languages, func(context.Context, token.Purpose, string) (token.Subject, error) {
		return token.Subject{}, token.ErrForged
	}, slog.New(slog.DiscardHandler))
	for accept, want := range map[string][2]string{
		"":                      {"en", "This link is not known here"},
		"de-CH,en;q=0.5":        {"de", "Dieser Link ist hier nicht bekannt"},
		"fr":                    {"fr", "Ce lien n’est pas connu ici"},
		"es-MX, en;q=0.1":       {"es", "Este enlace no se conoce aquí"},
		"nl":                    {"en", "This link is not known here"},
		strings.Repeat("x", 99): {"en", "This link is not known here"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/u/x", nil)
		r.Header.Set("Accept-Language", accept)
		w := httptest.NewRecorder()
		page.ServeHTTP(w, r)
		body := w.Body.String()
		if w.Code != http.StatusNotFound || w.Header().Get("Content-Language") != want[0] ||
			!strings.Contains(body, want[1]) || !strings.Contains(body, unsubscribe.Mark) {
			t.Errorf("Accept-Language %q: got %d, %q and\n%s\nwant 404, %q and the mark", accept, w.Code,
				w.Header().Get("Content-Language"), body, want)
		}
	}
}

// The page is at its own path and below that of the public address, whatever that is.
func TestPageBelowAnyPath(t *testing.T) {
	t.Parallel()
	languages, err := unsubscribe.Load("")
	if err != nil {
		t.Fatal(err)
	}
	page := unsubscribe.New(nil, languages, func(_ context.Context, _ token.Purpose, text string) (token.Subject, error) {
		if text != "x" {
			t.Errorf("token: got %q, want x", text)
		}
		return token.Subject{}, token.ErrForged
	}, slog.New(slog.DiscardHandler))
	for base, paths := range map[string][]string{
		"": {"/u/x"}, "https://mail.host.example": {"/u/x"}, "https://mail.host.example/u": {"/u/x", "/u/u/x"},
		"https://mail.host.example/m/n/": {"/u/x", "/m/n/u/x"}, "https://mail.host.example/{m}": {"/{m}/u/x"},
	} {
		mux := http.NewServeMux()
		page.Register(mux, base)
		for _, path := range paths {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if !strings.Contains(w.Body.String(), unsubscribe.Mark) {
				t.Errorf("%s at %q: got %d and\n%s\nwant our page", path, base, w.Code, w.Body)
			}
		}
	}
}
