package main_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"enotify/cmd/enotify/sitetest"
)

// A key is changed while a node runs: it signs with the new one, and goes on to
// take what the old one signed, bounces and clicks, until that is retired.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	s := newBouncingSite(t)
	at, web := sitetest.FreePort(t), sitetest.FreePort(t)
	s.Start("run", "--bounce-listen", at, "--listen", web, "--public-url", "https://news.host.example")
	// send is a batch to two; it returns its return paths and pages.
	send := func(key string) (id int64, paths, to, pages []string) {
		before := len(s.SMTP.Messages())
		id = s.Enqueue(key, "Soup.", 2, 1)
		s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, id)
		for _, m := range s.SMTP.Messages()[before:] {
			_, rest, _ := strings.Cut(string(m.Data), "https://news.host.example")
			page, _, _ := strings.Cut(rest, ">")
			paths, to, pages = append(paths, m.From), append(to, m.To[0]), append(pages, "http://"+web+page)
		}
		return id, paths, to, pages
	}
	old, paths, to, pages := send("old")
	if !strings.HasPrefix(paths[0], "b-1-") {
		t.Fatalf("return path: got %s, want it signed by key 1", paths[0])
	}
	if out := s.Run("bounce", "key", "rotate"); out != "key 2 signs from now on\n" {
		t.Errorf("rotate: got %q", out)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; {
		_, signed, _, links := send("new" + time.Now().String())
		if strings.HasPrefix(signed[0], "b-2-") && strings.Contains(links[1], "/u/2-") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("after a rotation: got %s and %s, want both signed by key 2", signed[0], links[1])
		}
	}
	if code := s.Bring(at, "", paths[0], sitetest.Gone(paths[0], to[0])); code != 250 {
		t.Errorf("a bounce at a path of the old key: got %d, want 250", code)
	}
	if got, want := s.States(old), "bounced 1, delivered 1"; got != want {
		t.Errorf("after it: got %s, want %s", got, want)
	}
	if code, _, _ := sitetest.Request(t, http.MethodPost, pages[0], url.Values{}); code != http.StatusOK {
		t.Errorf("an unsubscribe link of the old key: got %d, want 200", code)
	}

	if out := s.Run("bounce", "key", "retire", "1", "--yes"); !strings.HasPrefix(out, "key 1 is retired since ") {
		t.Errorf("retire: got %q", out)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; {
		code, _, _ := sitetest.Request(t, http.MethodGet, pages[1], nil)
		if code == http.StatusNotFound {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("an unsubscribe link of the retired key: got %d, want 404", code)
		}
	}
	if code := s.Bring(at, "", paths[1], sitetest.Gone(paths[1], to[1])); code != 550 {
		t.Errorf("a bounce at a path of the retired key: got %d, want 550", code)
	}
	if got, want := s.States(old), "bounced 1, delivered 1"; got != want {
		t.Errorf("after it: got %s, want %s", got, want)
	}
}
