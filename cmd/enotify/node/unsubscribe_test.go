package node_test

import (
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"enotify/cmd/enotify/sitetest"
	"enotify/sender/smtptest"
)

var unsubscribeField = regexp.MustCompile(`(?m)^List-Unsubscribe: <(https://news\.host\.example/m/u/[a-z0-9-]+)>\r$`)

// From the message to the page, to the button, to the next batch.
func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	addr := sitetest.FreePort(t)
	s.Enqueue("menu", "Soup.", 2, 1)
	own := sitetest.Ask[int64](s, `SELECT enotify.enqueue('own', 'info@town.example', 's', 't', '{user1@d0.test}', list_unsubscribe => 'https://town.example/out')`)
	s.Exec(`SELECT enotify.enqueue('named', 'info@town.example', 's', 't', '{ada@d0.test}', from_name => 'Town Clerk <b>', lang => 'de-AT')`)
	var logs strings.Builder
	c := s.Node()
	c.Listen, c.PublicURL, c.Log = addr, "https://news.host.example/m/", slog.New(slog.NewTextHandler(&logs, nil))
	stop := s.Serve(c)
	s.Until(`SELECT count(*) = 3 FROM enotify.batch WHERE state = 'done'`)

	pages := map[string]string{} // by recipient
	for _, m := range s.SMTP.Messages() {
		head, _, _ := strings.Cut(string(m.Data), "\r\n\r\n")
		found := unsubscribeField.FindStringSubmatch(head + "\r\n")
		if strings.Contains(head, "https://town.example/out") {
			if found != nil {
				t.Errorf("batch %d has an address of its own, and ours as well:\n%s", own, head)
			}
			continue
		}
		if strings.Contains(head, "Town Clerk") != strings.Contains(head, "\r\nContent-Language: de-AT\r\n") {
			t.Errorf("Content-Language is for the batch that says its language:\n%s", head)
		}
		if found == nil || !strings.Contains(head, "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n") {
			t.Fatalf("the message has no one-click address:\n%s", head)
		}
		pages[m.To[0]] = "http://" + addr + strings.TrimPrefix(found[1], "https://news.host.example")
	}
	page := pages["user1@d0.test"]
	if page == "" || len(pages) != 3 {
		t.Fatalf("addresses: got %v, want one for each of three recipients", pages)
	}

	suppressed := func() int { return sitetest.Ask[int](s, `SELECT count(*)::int FROM enotify.suppression`) }
	if code, header, body := sitetest.Request(t, http.MethodGet, pages["ada@d0.test"], nil); code != http.StatusOK ||
		header.Get("Content-Language") != "de" ||
		!strings.Contains(body, `<html lang="de">`) ||
		!strings.Contains(body, "<strong>Town Clerk &lt;b&gt;</strong>") {
		t.Errorf("the page of a batch in German from a named sender: got %d, language %q and\n%s", code,
			header.Get("Content-Language"), body)
	}
	code, header, body := sitetest.Request(t, http.MethodGet, page, nil)
	if code != http.StatusOK || suppressed() != 0 {
		t.Errorf("GET: got %d and %d suppressions, want 200 and none", code, suppressed())
	}
	for _, want := range []string{"Unsubscribe from town.example?", "u•••@d0.test", `<form method="post">`,
		`<html lang="en">`} {
		if !strings.Contains(body, want) {
			t.Errorf("page: got\n%s\nwant %q in it", body, want)
		}
	}
	for _, foreign := range []string{"<script", "src=", "href=", "user1@"} {
		if strings.Contains(body, foreign) {
			t.Errorf("page: got %q in it", foreign)
		}
	}
	if got := header.Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'none'; style-src 'sha256-") {
		t.Errorf("Content-Security-Policy: got %q", got)
	}

	oneClick := url.Values{"List-Unsubscribe": {"One-Click"}}
	for range 2 { // as some do
		if code, _, body := sitetest.Request(t, http.MethodPost, page, oneClick); code != http.StatusOK ||
			!strings.Contains(body, "You are unsubscribed") {
			t.Errorf("POST: got %d\n%s", code, body)
		}
	}
	if got, want := sitetest.Ask[string](s,
		`SELECT string_agg(concat_ws(' ', s.address, c.domain, s.cause, s.note), ',') FROM enotify.suppression s LEFT JOIN enotify.client c ON c.id = s.client_id`), "user1@d0.test town.example unsubscribe one-click"; got != want {
		t.Errorf("suppressions: got %q, want %q", got, want)
	}

	ada := pages["ada@d0.test"]
	s.Exec(`INSERT INTO enotify.suppression (address, client_id, cause) SELECT 'ada@d0.test', id, 'operator' FROM enotify.client`)
	for _, try := range []struct{ method, url, want string }{
		{http.MethodPost, page + "/again", "You are subscribed again"},
		{http.MethodPost, page + "/again", "You are subscribed again"},
		{http.MethodGet, page + "/again", "Unsubscribe from town.example?"},
		{http.MethodPost, page, "You are unsubscribed"},
		{http.MethodPost, ada, "Sie sind abgemeldet"},
		{http.MethodPost, ada + "/again", "Das lässt sich hier nicht rückgängig machen"},
		{http.MethodPost, page[:len(page)-2] + "aa/again", "This link is not known here"},
	} {
		if _, _, body := sitetest.Request(t, try.method, try.url, oneClick); !strings.Contains(body, try.want) {
			t.Errorf("%s %s: got\n%s\nwant %q in it", try.method, try.url, body, try.want)
		}
	}
	putOff := 0
	for range 60 {
		if code, _, _ := sitetest.Request(t, http.MethodGet, ada, nil); code == http.StatusServiceUnavailable {
			putOff++
		}
	}
	if code, _, _ := sitetest.Request(t, http.MethodGet, page, nil); putOff == 0 || code != http.StatusOK {
		t.Errorf("a link that is opened 60 times: got %d put off, and %d for another; want some, and 200", putOff, code)
	}
	if got, want := sitetest.Ask[string](s, `SELECT string_agg(address || ' ' || cause, ',' ORDER BY address) FROM enotify.suppression`),
		"ada@d0.test operator,user1@d0.test unsubscribe"; got != want {
		t.Errorf("suppressions after subscribing again: got %q, want %q", got, want)
	}
	s.Exec(`DELETE FROM enotify.suppression WHERE cause = 'operator'`)

	at := strings.LastIndexByte(page, '/') + 1
	for what, try := range map[string]struct {
		method, url string
		body        url.Values
		want        int
	}{
		"a forged token":  {http.MethodPost, page[:len(page)-2] + "aa", oneClick, http.StatusNotFound},
		"no token at all": {http.MethodPost, page[:at] + "hello", oneClick, http.StatusNotFound},
		"a bounce's name": {http.MethodGet, page[:at] + strings.Repeat("a", 200), nil, http.StatusNotFound},
		"an endless form": {http.MethodPost, pages["user2@d0.test"], url.Values{"x": {strings.Repeat("x", 1<<16)}},
			http.StatusBadRequest},
		"another method": {http.MethodDelete, page, nil, http.StatusMethodNotAllowed},
	} {
		if code, _, body := sitetest.Request(t, try.method, try.url, try.body); code != try.want ||
			!strings.Contains(body, "<h1>") {
			t.Errorf("%s: got %d\n%s\nwant %d and a page", what, code, body, try.want)
		}
	}
	if got := suppressed(); got != 1 {
		t.Errorf("suppressions after the rest: got %d, want 1", got)
	}

	next := s.Enqueue("next", "Stew.", 2, 1)
	s.Until(`SELECT state = 'done' FROM enotify.batch WHERE id = $1`, next)
	if got, want := s.States(next), "delivered 1, suppressed 1"; got != want {
		t.Errorf("the next batch: got %s, want %s", got, want)
	}
	stop()
	if text := logs.String(); !strings.Contains(text, "msg=unsubscribed") || strings.Contains(text, "user1@") {
		t.Errorf("log: got\n%s\nwant the step in it and no address", text)
	}
}
