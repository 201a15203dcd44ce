//go:build check

package console_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"enotify/cmd/enotify/console"
	"enotify/cmd/enotify/sitetest"
	"enotify/sender/smtptest"
)

// A browser is a tab of a real Chromium, and what it complained of.
type browser struct {
	testing.TB
	ctx context.Context

	mu      sync.Mutex
	trouble []string
}

// newBrowser starts one; make check says how to install it.
func newBrowser(t testing.TB) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.WindowSize(1200, 900))
	ctx, end := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(end)
	ctx, end = chromedp.NewContext(ctx)
	t.Cleanup(end)
	b := &browser{TB: t, ctx: ctx}
	chromedp.ListenTarget(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.trouble = append(b.trouble, e.ExceptionDetails.Error())
		case *log.EventEntryAdded: // a violation of the policy, among others
			if e.Entry.Level == log.LevelError && !strings.Contains(e.Entry.Text, "favicon") {
				b.trouble = append(b.trouble, e.Entry.Text)
			}
		}
	})
	if err := chromedp.Run(ctx); err != nil { // it ends with this context
		t.Fatalf("no Chromium: %v; make check says how to install it", err)
	}
	return b
}

func (b *browser) do(actions ...chromedp.Action) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.Fatalf("browser: %v; the page says %q", err, b.text("document.body.innerText"))
	}
}

// text is what an expression of JavaScript says.
func (b *browser) text(js string) (said string) {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	_ = chromedp.Run(ctx, chromedp.Evaluate("String("+js+")", &said))
	return said
}

// until waits for an expression of JavaScript to be true.
func (b *browser) until(js string) {
	b.Helper()
	for end := time.Now().Add(15 * time.Second); b.text(js) != "true"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%s is not so; the page says %q", js, b.text("document.body.innerText"))
		}
	}
}

// axe has axe-core look at the page that is open; what it calls serious or critical is an
// error.
func (b *browser) axe(what string) {
	b.Helper()
	source, err := os.ReadFile(os.Getenv("ENOTIFY_AXE"))
	if err != nil {
		b.Fatalf("axe-core: %v; make check says where it is", err)
	}
	found := ""
	b.do(chromedp.Evaluate(string(source)+";0", nil),
		chromedp.Evaluate(`axe.run().then(r => r.violations.filter(v => v.impact === "serious" || v.impact === "critical")
		.map(v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.html).join(" ")).join("\n"))`, &found,
			func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	if found != "" {
		b.Errorf("%s: axe finds\n%s", what, found)
	}
}

const evil = `<script>window.hit=1</script><img src=x onerror="window.hit=1">`

// The console in a real browser: a batch moves without a reload, a pause stops it within a
// second, markup in a subject is text, and no page has a serious fault of accessibility,
// in light and dark, wide and narrow.
func TestConsoleInABrowser(t *testing.T) {
	s := sitetest.New(t, smtptest.Config{})
	s.Exec(`UPDATE enotify.destination SET rate_messages = 10, rate_per = '1 second', burst = 1 WHERE name = '*'`)
	id := sitetest.Ask[int64](s, `SELECT enotify.enqueue('menu', 'info@town.example', $1, 'Soup.',
		ARRAY(SELECT format('user%s@d%s.test', i, i % 3) FROM generate_series(1, 600) i))`, evil)
	web := console.Config{Listen: "127.0.0.1:0", Person: "ada", Resolver: s.DNS.Addr, AllowMX: []string{"127.0.0.0/8"}}
	c := s.Node()
	s.Serve(c)
	url := serve(s, web)
	b := newBrowser(t)
	b.do(chromedp.Navigate(url))
	b.until(`document.querySelector(".live.on") !== null && document.querySelector("#batches .state").textContent === "sending"`)
	before := b.text(`document.querySelector("#batches tbody").innerText`)
	b.until(fmt.Sprintf(`document.querySelector("#batches tbody").innerText !== %q`, before))

	// A tab that nobody sees gives its connection back, and is live again when somebody does.
	for _, hidden := range []bool{true, false} {
		b.do(chromedp.Evaluate(fmt.Sprintf(`Object.defineProperty(document, "hidden", {value: %t, configurable: true});
			document.dispatchEvent(new Event("visibilitychange"))`, hidden), nil))
		b.until(fmt.Sprintf(`document.querySelector(".live.on") === null === %t`, hidden))
	}

	b.do(chromedp.Navigate(fmt.Sprintf("%sbatch/%d", url, id)),
		chromedp.Evaluate(`document.querySelector('#batch a[href$="/pause"]').click()`, nil),
		chromedp.WaitVisible("#reason"), chromedp.SendKeys("#reason", "a typo"))
	b.axe("confirmation")
	b.do(chromedp.Click("main button"))
	b.until(`document.querySelector("#batch h1") && document.querySelector("#batch h1").innerText === "Paused"`)
	time.Sleep(time.Second) // the promise
	sent := len(s.SMTP.Messages())
	time.Sleep(time.Second)
	if now := len(s.SMTP.Messages()); now != sent {
		t.Errorf("a second after the pause %d messages had arrived, and a second later %d", sent, now)
	}
	if got := sitetest.Ask[string](s, `SELECT concat_ws(', ', person, reason) FROM enotify.batch_log WHERE to_state = 'paused'`); got != "ada, a typo" {
		t.Errorf("the log says %q, want who paused it and why", got)
	}

	s.Exec(`INSERT INTO enotify.egress (address) VALUES ('192.0.2.77')`)
	s.Exec(`INSERT INTO enotify.warmup (address, site, caps, zone, step, day) VALUES ('192.0.2.77', '*', '{100,200,400}', 'UTC', 1, current_date)`)
	for _, at := range []string{"", fmt.Sprintf("batch/%d", id), fmt.Sprintf("batch/%d/cancel", id),
		fmt.Sprintf("batch/%d/preflight", id), "client/town.example",
		"client/town.example/dns", "site/d1.test", "site/d1.test/limits", "bounces", "egress", "address/user1@d1.test",
		fmt.Sprintf("message/%d/1", id), "batch/99"} {
		for _, look := range []struct {
			scheme string
			width  int64
		}{{"light", 1200}, {"dark", 390}} {
			what := fmt.Sprintf("/%s, %s, %d wide", at, look.scheme, look.width)
			b.do(emulation.SetDeviceMetricsOverride(look.width, 900, 1, false),
				emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme",
					Value: look.scheme}}), chromedp.Navigate(url+at))
			b.axe(what)
			if over := b.text(`document.documentElement.scrollWidth - document.documentElement.clientWidth`); over != "0" {
				t.Errorf("%s: the page is %s pixels too wide", what, over)
			}
			if hit := b.text("window.hit"); hit != "undefined" {
				t.Errorf("%s: a script of the subject ran", what)
			}
			if dir := os.Getenv("ENOTIFY_SCREENSHOTS"); dir != "" {
				var picture []byte
				b.do(chromedp.Sleep(300*time.Millisecond), chromedp.FullScreenshot(&picture, 100))
				name := strings.NewReplacer("/", "-", "@",
					"-").Replace(fmt.Sprintf("console-%s-%d.png", at, look.width))
				if err := os.WriteFile(filepath.Join(dir, name), picture, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.trouble {
		if !strings.Contains(line, "404") { // the batch that is not there
			t.Errorf("the browser complains: %s", line)
		}
	}
}

// Who is shown the page is out within seconds of the end of the token.
func TestAnEndedTokenIsOutOfAnOpenPage(t *testing.T) {
	s := sitetest.New(t, smtptest.Config{})
	file := filepath.Join(t.TempDir(), "tokens")
	writeTokens(t, file, "ada a-token-of-ada-for-the-console")
	url := serve(s, console.Config{Listen: "127.0.0.1:0", Tokens: file})
	b := newBrowser(t)
	b.do(chromedp.Navigate(url), chromedp.WaitVisible("#token"))
	b.axe("login")
	b.do(chromedp.SendKeys("#token", "a-token-of-ada-for-the-console\r"))
	b.until(`document.querySelector(".live.on") !== null`)
	writeTokens(t, file, "ada a-token-of-ada-for-the-console "+time.Now().Add(-time.Minute).UTC().Format(time.RFC3339))
	b.until(`location.pathname === "/login"`)
	if code, _, _ := sitetest.Request(t, http.MethodGet, url, nil); code != http.StatusOK &&
		code != http.StatusSeeOther {
		t.Errorf("without a session: got %d, want the way to the login", code)
	}
}
