package console_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"enotify/cmd/enotify/console"
	"enotify/cmd/enotify/sitetest"
	"enotify/sender/smtptest"
)

// serve runs a console on the database of a site until the test ends.
func serve(s *sitetest.Site, c console.Config) (url string) {
	s.Helper()
	c.DatabaseURL = s.URL
	server, err := console.Listen(c)
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	s.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.Errorf("console: %v", err)
		}
	})
	return server.URL()
}

func writeTokens(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A visitor is a browser without JavaScript.
type visitor struct {
	testing.TB
	http.Client
	base string
}

func visit(t testing.TB, base string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, http.Client{Jar: jar, Timeout: 20 * time.Second}, base}
}

func (v *visitor) get(path string) (code int, body string) {
	v.Helper()
	r, err := v.Get(v.base + path)
	return v.read(r, err)
}

func (v *visitor) read(r *http.Response, err error) (code int, body string) {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		v.Fatal(err)
	}
	return r.StatusCode, styleElement.ReplaceAllString(string(text), "")
}

// styleElement is left out of what a test prints.
var styleElement = regexp.MustCompile(`(?s)<style>.*</style>`)

var formField = regexp.MustCompile(`name="form" value="([^"]+)"`)

// post sends a form with the token of the page that asks.
func (v *visitor) post(path string, values url.Values) (code int, body string) {
	v.Helper()
	_, asking := v.get(path)
	if found := formField.FindStringSubmatch(asking); found != nil && values.Get("form") == "" {
		values.Set("form", found[1])
	}
	r, err := v.PostForm(v.base+path, values)
	return v.read(r, err)
}

// Everything is there without JavaScript: look, pause with a reason, see who did it,
// resume, set limits, cancel.
func TestSteer(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	id := sitetest.Ask[int64](s, `SELECT enotify.enqueue('menu', 'info@town.example', '<b>"Menu" & more</b>', 'Soup.', '{ada@d.test, bob@d.test}')`)
	v := visit(t, serve(s, console.Config{Listen: "127.0.0.1:0", Person: "ada"}))
	code, body := v.get("")
	if code != http.StatusOK || !strings.Contains(body, "&lt;b&gt;&#34;Menu&#34; &amp; more&lt;/b&gt;") ||
		!strings.Contains(body, "Nothing is sent") {
		t.Errorf("overview: got %d and\n%s\nwant the batch, escaped, and that no node runs", code, body)
	}
	batch := fmt.Sprintf("batch/%d", id)
	if code, body := v.post(batch+"/pause", url.Values{"reason": {"a typo"}}); code != http.StatusOK ||
		!strings.Contains(body, "a typo") || !strings.Contains(body, "ada (login") {
		t.Errorf("pause: got %d and\n%s\nwant the batch with the reason and the person", code, body)
	}
	if got := sitetest.Ask[string](s, `SELECT concat_ws(' ', state, reason) FROM enotify.batch`); got != "paused a typo" {
		t.Errorf("after pause: got %s", got)
	}
	if code, _ := v.post(batch+"/resume", url.Values{}); code != http.StatusOK ||
		sitetest.Ask[string](s, `SELECT state::text FROM enotify.batch`) != "queued" {
		t.Errorf("resume: got %d", code)
	}
	if code, body := v.post("site/d.test/limits",
		url.Values{"rate": {"7/s"}, "connections": {"zero"}}); code != http.StatusUnprocessableEntity ||
		!strings.Contains(body, "Connections: &#34;zero&#34; is no number") || !strings.Contains(body, `value="7/s"`) {
		t.Errorf("limits with a mistake: got %d and\n%s", code, body)
	}
	if code, body := v.post("site/d.test/limits", url.Values{"rate": {"7/s"}}); code != http.StatusOK ||
		!strings.Contains(body, "7/s") || !strings.Contains(body, "set by ada (login ") {
		t.Errorf("limits: got %d and\n%s\nwant them, and who set them", code, body)
	}
	if code, _ := v.post(batch+"/cancel", url.Values{"reason": {"no"}}); code != http.StatusOK ||
		sitetest.Ask[string](s, `SELECT state::text FROM enotify.batch`) != "cancelled" {
		t.Errorf("cancel: got %d", code)
	}
	if code, body := v.get(batch + "/cancel"); code != http.StatusUnprocessableEntity ||
		!strings.Contains(body, "nothing to cancel") {
		t.Errorf("cancel again: got %d and\n%s", code, body)
	}
	for _, path := range []string{"client/town.example", "message/1/1", "address/ada@d.test", "bounces",
		"site/d.test", "egress"} {
		if code, body := v.get(path); code != http.StatusOK || strings.Contains(body, "stale") {
			t.Errorf("%s: got %d and\n%s", path, code, body)
		}
	}
	for _, path := range []string{"batch/99", "batch/x", "client/nobody.example", "message/1/99", "nothing",
		"batch/1/explode"} {
		if code, _ := v.get(path); code != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, code)
		}
	}
}

// Nobody else's page can press a button, or read one.
func TestStrangersChangeNothing(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	s.Enqueue("menu", "Soup.", 1, 1)
	base := serve(s, console.Config{Listen: "127.0.0.1:0", Person: "ada"})
	v := visit(t, base)
	v.get("")
	request := func(method, path, host, origin string, body url.Values) int {
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if host != "" {
			r.Host = host
		}
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		answer, err := v.Do(r)
		if err != nil { // it hung up on what is too large
			return http.StatusRequestEntityTooLarge
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	_, page := v.get("batch/1/pause")
	form := formField.FindStringSubmatch(page)[1]
	for what, got := range map[string]int{
		"no form token": request(http.MethodPost, "batch/1/pause", "", "", url.Values{}),
		"another form token": request(http.MethodPost, "batch/1/pause", "", "",
			url.Values{"form": {form + "x"}}),
		"from another origin": request(http.MethodPost, "batch/1/pause", "", "https://evil.example",
			url.Values{"form": {form}}),
		"by a name that leads here": request(http.MethodGet, "", "evil.example", "", nil),
		"a form beyond all measure": request(http.MethodPost, "batch/1/pause", "", "",
			url.Values{"reason": {strings.Repeat("x", 1<<20)}}),
		"a header beyond all bounds": request(http.MethodGet, "?"+strings.Repeat("x", 64<<10), "", "", nil),
	} {
		if got < 400 {
			t.Errorf("%s: got %d, want a refusal", what, got)
		}
	}
	if got := sitetest.Ask[string](s, `SELECT state::text FROM enotify.batch`); got != "queued" {
		t.Errorf("the batch is %s, want queued", got)
	}
}

// A token lets in until it ends, and then neither the page nor the stream goes on. The
// wrong one does not, and cannot be guessed fast.
func TestTokens(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	s.Enqueue("menu", "Soup.", 1, 1)
	file := filepath.Join(t.TempDir(), "tokens")
	writeTokens(t, file, "ada a-token-of-ada-for-the-console\nbob a-token-of-bob-for-the-console 2020-01-01")
	base := serve(s, console.Config{Listen: "127.0.0.1:0", Tokens: file})
	v := visit(t, base)
	if _, body := v.get(""); !strings.Contains(body, "Sign in") || strings.Contains(body, "Menu") {
		t.Errorf("a stranger got\n%s", body)
	}
	if code, _ := v.get("live?path=/"); code != http.StatusUnauthorized {
		t.Errorf("the stream for a stranger: got %d, want 401", code)
	}
	for _, token := range []string{"a-token-of-bob-for-the-console", "nothing", ""} {
		if code, _ := v.post("login", url.Values{"token": {token}}); code != http.StatusUnauthorized {
			t.Errorf("token %q: got %d, want 401", token, code)
		}
	}
	if code, body := v.post("login", url.Values{"token": {"a-token-of-ada-for-the-console"}}); code != http.StatusOK ||
		!strings.Contains(body, "Sign out") {
		t.Fatalf("the right token: got %d and\n%s", code, body)
	}
	stream, err := v.Get(base + "live?path=/")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	writeTokens(t, file, "bob a-token-of-bob-for-the-console")
	last := ""
	for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
		if lines.Text() != "" {
			last = lines.Text()
		}
		if len(last) > 0 && strings.HasPrefix(last, "data: -") {
			break
		}
	}
	if last != "data: -" {
		t.Errorf("the stream ended with %q, want its farewell", last)
	}
	if _, body := v.get(""); !strings.Contains(body, "Sign in") {
		t.Errorf("after the token was taken away: got\n%s", body)
	}
	refused := 0
	for range 30 {
		if code, _ := v.read(v.PostForm(base+"login",
			url.Values{"token": {"a-guess-of-somebody-else"}})); code == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused == 0 {
		t.Error("30 guesses in a row were all looked at")
	}
}

// Pages that nobody looks at cost nothing, and fifty that are open cost what one does.
func TestOneLookForAll(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	s.Enqueue("menu", "Soup.", 1, 1)
	base := serve(s, console.Config{Listen: "127.0.0.1:0", Person: "ada"})
	connections := func() int {
		return sitetest.Ask[int](s, `SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'enotify%'`)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 50 {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"live?path=/", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if line, err := bufio.NewReader(answer.Body).ReadString('\n'); err != nil || line == "" {
			t.Fatalf("a stream: got %q, %v", line, err)
		}
	}
	if got := connections(); got != 1 {
		t.Errorf("50 open pages take %d connections, want 1", got)
	}
}

// Beyond loopback there is no console without a lock.
func TestListenIsCareful(t *testing.T) {
	t.Parallel()
	open := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(open, []byte("ada a-token-of-ada-for-the-console\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(t.TempDir(), "short")
	writeTokens(t, short, "ada secret")
	for _, c := range []struct {
		config console.Config
		want   string
	}{
		{console.Config{Listen: "0.0.0.0:0"}, "anybody who reaches that address could steer"},
		{console.Config{Listen: "[::]:0"}, "anybody who reaches that address could steer"},
		{console.Config{Listen: ":0"}, "anybody who reaches that address could steer"},
		{console.Config{Listen: "nonsense"}, "want an address"},
		{console.Config{Listen: "0.0.0.0:0", Tokens: open}, "can be read by everybody"},
		{console.Config{Listen: "0.0.0.0:0", Tokens: short}, "line 1: the token has 6 characters"},
		{console.Config{Listen: "0.0.0.0:0", ClientCA: open}, "needs HTTPS"},
		{console.Config{Listen: "127.0.0.1:0", Cert: open, Key: open}, "--console-cert"},
	} {
		err := c.config.Check() // before anything is connected to
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want %q", c.config, err, c.want)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := console.Listen(console.Config{Listen: taken.Addr().String()}); err == nil ||
		!strings.Contains(err.Error(), "another program listens there") {
		t.Errorf("a port in use: got %v, want that another program listens there", err)
	}
}

// The page of what to publish looks again by itself: what was cured in the DNS turns green.
func TestTheCureShows(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	s.DNS.PutTXT("town.example", "v=spf1 -all")
	s.Serve(s.Node())
	s.Until(`SELECT count(*) = 1 FROM enotify.node WHERE live_until > now()`)
	v := visit(t, serve(s, console.Config{Listen: "127.0.0.1:0", Person: "ada", Resolver: s.DNS.Addr}))
	const wrong, right = "To be changed",
		`<h3>Lets our servers send in your name (SPF)</h3><span class="tag">In order</span>`
	if _, body := v.get("client/town.example/dns"); !strings.Contains(body, wrong) || strings.Contains(body, right) ||
		!strings.Contains(body, "update delete town.example. TXT") {
		t.Fatalf("before: got\n%s\nwant the record to change, and a script for nsupdate", body)
	}
	s.DNS.PutTXT("town.example", "v=spf1 ip4:192.0.2.10 -all")
	stream, err := v.Get(v.base + "live?path=/client/town.example/dns")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "In order") && !strings.Contains(lines.Text(), wrong) {
			return
		}
	}
	t.Errorf("the stream ended before the record was right: %v", lines.Err())
}

// The page of a draft that is kept ready says whether it would go, and no draft looks as
// if it had no recipients.
func TestADraftSaysWhetherItWouldGo(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	id := sitetest.Ask[int64](s, `SELECT enotify.create_batch('flood', 'info@town.example', 'Flood', 'Leave.')`)
	s.Exec(`SELECT enotify.add_recipients($1, '{ann@a.test}')`, id)
	v := visit(t, serve(s, console.Config{Listen: "127.0.0.1:0", Person: "ada"}))
	page := fmt.Sprintf("batch/%d", id)
	for _, step := range []struct{ sql, want string }{
		{`SELECT`, "not submitted"},
		{`SELECT enotify.keep_ready(id) FROM enotify.batch`, "not checked yet"},
		{`UPDATE enotify.ready_draft SET checked_at = now(), verdict = 'ready'`, "it would go"},
		{`UPDATE enotify.ready_draft SET verdict = 'blocked', line = 'SPF: town.example forbids it'`, "SPF: town.example forbids it"},
	} {
		s.Exec(step.sql)
		body := ""
		for end := time.Now().Add(20 * time.Second); !strings.Contains(body, step.want) && time.Now().Before(end); {
			_, body = v.get(page)
		}
		if !strings.Contains(body, step.want) {
			t.Errorf("after %s: got\n%s\nwant %q", step.sql, body, step.want)
		}
	}
}

// The page of addresses draws each plan of warm-up against what was sent.
func TestWarmupIsDrawn(t *testing.T) {
	t.Parallel()
	s := sitetest.New(t, smtptest.Config{})
	s.Exec(`INSERT INTO enotify.egress (address) VALUES ('192.0.2.77')`)
	s.Exec(`INSERT INTO enotify.warmup (address, site, caps, zone, step, day) VALUES ('192.0.2.77', '*', '{100,200,400}', 'UTC', 1, current_date)`)
	s.Exec(`INSERT INTO enotify.egress_day (address, site, day, begun, accepted, refused)
		VALUES ('192.0.2.77', '*', current_date - 1, 97, 95, 2), ('192.0.2.77', '*', current_date, 150, 150, 0)`)
	_, body := visit(t, serve(s, console.Config{Listen: "127.0.0.1:0", Person: "ada"})).get("egress")
	for _, want := range []string{"<h3>192.0.2.77</h3>", "Day 2 of 3: 150 of 200 messages sent", "<td class=\"n\">97</td>", "2 refused",
		`<rect class="track" width="50" height="8"/><rect class="fill" width="37.5" height="8"/>`, "in 1 day", "<td class=\"n\">400</td>"} {
		if !strings.Contains(body, want) {
			t.Errorf("got\n%s\nwant %s", body, want)
		}
	}
}
