package render_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"enotify/cmd/enotify/page"
	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/preflight/render"
)

var at = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

const (
	block, warn, notChecked = preflight.Block, preflight.Warn, preflight.NotChecked
	info, pass              = preflight.Info, preflight.Pass
)

var update = flag.Bool("update", false, "write the golden files")

// sample is a report with something of everything.
func sample() *preflight.Report {
	r := &preflight.Report{
		Schema: preflight.Schema, Kind: "batch", At: at,
		Subject: preflight.Subject{Client: "town.example", From: "clerk@town.example", MailFrom: "clerk@town.example",
			Batch: 42, State: "draft",
			Title: "Agenda for {{.ward}}", Egress: []string{"192.0.2.10", "2001:db8::10"},
			HELO: []string{"mail.host.example"}},
		Summary: preflight.Summary{Readiness: preflight.Blocked, Recipients: 9120, Sendable: 8412, Seconds: 9600,
			Slowest: "outlook",
			Counts:  map[preflight.Severity]int{block: 2, warn: 3, notChecked: 1, info: 3, pass: 3}},
		Findings: []preflight.Finding{
			{ID: "spf.pass", Severity: block, Title: "Our servers are not allowed to send for this domain (SPF)",
				Found: "town.example does not let 2001:db8::10 send for it.",
				Evidence: []string{`town.example. IN TXT "v=spf1 ip4:192.0.2.10 -all"`,
					`2001:db8::10: fail. town.example forbids 2001:db8::10 to send for it, and receivers will refuse the mail: no term before "-all" in its record covers the address.`},
				Rejects: []preflight.Rejection{{Who: "Gmail", Reply: "550 5.7.27 SPF authentication did not pass"},
					{Who: "Microsoft", Reply: "550 5.7.515 the sending domain does not meet the required authentication level"}},
				Fix:     []string{`town.example. IN TXT "v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 -all"`},
				Advice:  "Publish this line in place of the SPF record there is. It was tested: every address of ours passes under it, and every sender that passed before still passes.",
				Recheck: "enotify spf check town.example --ip 192.0.2.10,2001:db8::10", Enforced: true,
				Effect: "enotify sends nothing until this is cured"},
			{ID: "hdr.merge", Severity: block, Title: "A merge field has no value for somebody",
				Found:    "12 recipients have no value for {{.ward}}; they would get nothing.",
				Evidence: []string{"ada@example.org", "bob@example.net", "and 10 more"},
				Advice:   "Give the field a value in the list, or write {{with .ward}}…{{end}} around it.",
				Recheck:  "enotify preflight 42",
				Effect:   "enotify sends nothing to these recipients"},
			{ID: "dmarc.record", Severity: warn, Title: "The DMARC policy is missing or incomplete",
				Found: "town.example has no DMARC record. A sender of over 5,000 messages a day needs one.",
				Rejects: []preflight.Rejection{{Who: "Gmail",
					Reply: "421 4.7.31 no DMARC record, or none that states a policy"}},
				Fix:     []string{`_dmarc.town.example. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@town.example"`},
				Advice:  "p=none asks receivers for reports and changes nothing else: a safe beginning. The address behind rua= must exist.",
				Recheck: "enotify client check town.example --egress 192.0.2.10",
				Effect:  "advice: enotify sends all the same"},
			{ID: "rcpt.role", Severity: warn, Title: "There are role accounts on the list",
				Found:    "21 addresses are read by nobody in particular, and are known for complaints.",
				Evidence: []string{"postmaster@example.org", "abuse@example.net", "noreply@example.com"}},
			{ID: "warmup", Severity: warn, Title: "The batch is larger than receivers are used to",
				Found:  "8,412 messages; the most of a day in the last 30 was 2,100.",
				Advice: "Send a quarter today and the rest over the next days, or expect deferrals."},
			{ID: "dnsbl", Severity: notChecked, Title: "Our addresses are on no block list",
				Found:    "Not every list answered.",
				Evidence: []string{"bl.test answers 127.255.255.254: it does not tell us"}, Unanswered: true},
			{ID: "spf.all", Severity: info, Title: "What the SPF record says of everybody else",
				Found: "town.example forbids all others (-all)."},
			{ID: "rcpt.suppressed", Severity: info, Title: "Who is never to be sent to",
				Found: "688 addresses are suppressed.", Evidence: []string{"no_such_user: 655", "unsubscribe: 33"}},
			{ID: "rcpt.dup", Severity: info, Title: "Nobody is on the list twice",
				Found: "41 lines repeat an address; each gets one message."},
			{ID: "ptr.fcrdns", Severity: pass, Title: "Every address of ours has a name that leads back",
				Found: "192.0.2.10 is mail.host.example, 2001:db8::10 is mail.host.example."},
			{ID: "hdr.5322", Severity: pass, Title: "The message is well formed",
				Found: "One From, Date, Message-ID and Subject; no line is over 998 octets."},
			{ID: "body.size", Severity: pass, Title: "The message is small enough", Found: "18 KB."},
		},
		Sites: []preflight.Site{
			{Name: "google", Domains: 312, Recipients: 3710, Seconds: 3100, Limit: "5 connections"},
			{Name: "outlook", Domains: 6, Recipients: 1902, Seconds: 9600,
				Limit: "learned: 2 connections; 421 RP-001 an hour ago"},
			{Name: "orange", Domains: 2, Recipients: 411, Seconds: 2900, Limit: "2 connections"},
			{Name: "town.example", Domains: 1, Recipients: 55, Seconds: 40},
		},
		Bounces: []preflight.BatchBounces{{Batch: 37, At: at.AddDate(0, 0, -40), Sent: 2000, Bounced: 130},
			{Batch: 38, At: at.AddDate(0, 0, -30), Sent: 2020, Bounced: 70},
			{Batch: 40, At: at.AddDate(0, 0, -20), Sent: 2080, Bounced: 18},
			{Batch: 41, At: at.AddDate(0, 0, -5), Sent: 2100, Bounced: 9}},
	}
	for i := range 40 {
		r.Sites = append(r.Sites, preflight.Site{Name: "site" + string(rune('a'+i%26)) + ".example", Domains: 3,
			Recipients: 70 - i, Seconds: 1200 - i})
	}
	r.Curve = []preflight.Curve{curve("", 1, 8412, 9600, 3), curve("outlook", 0.23, 1902, 9600, 1),
		curve("google", 0.44, 3710, 3100, 1), curve("orange", 0.05, 411, 2900, 1)}
	return r
}

// curve goes up to n by a time, the faster at first the larger the bend.
func curve(name string, share float64, n, seconds, bend int) preflight.Curve {
	c := preflight.Curve{Name: name, Share: share}
	for i := range 21 {
		rest := 1.0
		for range bend {
			rest *= 1 - float64(i)/20
		}
		c.Seconds, c.Sent = append(c.Seconds, seconds*i/20), append(c.Sent, int(float64(n)*(1-rest)))
	}
	return c
}

// clientSample is the report that a client is handed.
func clientSample() *preflight.Report {
	r := sample()
	r.Kind, r.Subject.Batch, r.Subject.Title, r.Sites, r.Curve, r.Bounces = "client", 0, "", nil, nil, nil
	r.Findings = append(r.Findings[:1:1], r.Findings[2], r.Findings[5], r.Findings[6], r.Findings[9])
	r.Summary = preflight.Summary{Readiness: preflight.Blocked,
		Counts: map[preflight.Severity]int{block: 1, warn: 1, notChecked: 1, info: 1, pass: 1}}
	r.Setup = []preflight.Line{
		{For: "Lets our servers send in your name (SPF)", Name: "town.example", Type: "TXT",
			Value: `"v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 -all"`, State: "wrong",
			Zone:  `town.example. IN TXT "v=spf1 ip4:192.0.2.10 ip6:2001:db8::10 -all"`,
			Found: `town.example. IN TXT "v=spf1 ip4:192.0.2.10 -all"`},
		{For: "Holds the key that proves your signature (DKIM)", Name: "e1._domainkey.town.example", Type: "TXT",
			Value: `"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="`, State: "right",
			Zone: `e1._domainkey.town.example. IN TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="`},
		{For: "Tells receivers what to do with forgeries, and whom to report to (DMARC)", Name: "_dmarc.town.example",
			Type: "TXT", Value: `"v=DMARC1; p=none; rua=mailto:postmaster@town.example"`, State: "missing",
			Zone: `_dmarc.town.example. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@town.example"`},
	}
	return r
}

// hostile is a report made of markup.
func hostile() *preflight.Report {
	r := sample()
	evil := `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	r.Subject.Title, r.Subject.From, r.Summary.Slowest = evil, evil, evil
	r.Summary.Uncertain = evil
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Found, f.Evidence, f.Fix, f.Advice, f.Recheck = evil, []string{evil}, []string{evil}, evil, evil
	}
	for i := range r.Sites {
		r.Sites[i].Name, r.Sites[i].Limit = evil, evil
	}
	for i := range r.Curve {
		r.Curve[i].Name = evil
	}
	r.Setup = []preflight.Line{{For: evil, Zone: evil, State: evil, Found: evil}}
	return r
}

func rendered(t *testing.T, r *preflight.Report, form string) []byte {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch form {
	case "html":
		err = render.HTML(&b, r)
	case "json":
		err = render.JSON(&b, r)
	case "txt":
		err = render.Text(&b, r, false, 0)
	case "narrow.txt":
		err = render.Text(&b, r, false, 80)
	case "colour.txt":
		err = render.Text(&b, r, true, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func ready() *preflight.Report {
	r := sample()
	r.Findings = r.Findings[6:]
	r.Summary = preflight.Summary{Readiness: preflight.Ready, Recipients: 9120, Sendable: 9120, Seconds: 9600,
		Counts: map[preflight.Severity]int{info: 3, pass: 3}}
	return r
}

func TestRenderings(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*preflight.Report{"batch": sample(), "client": clientSample(), "ready": ready()} {
		for _, form := range []string{"txt", "narrow.txt", "colour.txt", "json", "html"} {
			file := filepath.Join("testdata", name+"."+form)
			got := bytes.Replace(rendered(t, r, form), []byte(page.Style("")), []byte("page.css"), 1) // the same on every page
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s, if that is meant run the test with -update (-want +got):\n%s", file, diff)
			}
		}
	}
}

// void are the elements that have no end (HTML, "void elements").
const void = " area base br col embed hr img input link meta source track wbr "

// The page is one file, balanced, with nothing that runs or loads, whatever
// the report is made of.
func TestPageIsSafe(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*preflight.Report{"batch": sample(), "client": clientSample(), "ready": ready(),
		"hostile": hostile()} {
		page := rendered(t, r, "html")
		var open []string
		ids := map[string]int{}
		z := html.NewTokenizer(bytes.NewReader(page))
		for {
			kind := z.Next()
			if kind == html.ErrorToken {
				break
			}
			tok := z.Token()
			switch kind {
			case html.StartTagToken:
				if strings.Contains(" script img iframe object embed link base form input audio video source a ",
					" "+tok.Data+" ") {
					t.Errorf("%s: an element %s", name, tok.Data)
				}
				if !strings.Contains(void, " "+tok.Data+" ") {
					open = append(open, tok.Data)
				}
			case html.EndTagToken:
				if len(open) == 0 || open[len(open)-1] != tok.Data {
					t.Fatalf("%s: </%s> closes %v", name, tok.Data, open)
				}
				open = open[:len(open)-1]
			}
			ids[tok.Data]++
			for _, a := range tok.Attr {
				key := strings.ToLower(a.Key)
				if strings.HasPrefix(key, "on") || key == "src" || key == "href" || key == "xlink:href" ||
					key == "style" || key == "srcset" || key == "action" {
					t.Errorf("%s: <%s> has %s=%q", name, tok.Data, key, a.Val)
				}
			}
		}
		if len(open) > 0 {
			t.Errorf("%s: not closed: %v", name, open)
		}
		for _, word := range []string{"url(", "@import", "http://", "https://", "<script"} {
			if bytes.Contains(page, []byte(word)) && name != "hostile" || word == "<script" &&
				bytes.Contains(page, []byte(word)) {
				t.Errorf("%s: holds %q", name, word)
			}
		}
		if ids["main"] == 0 || ids["h1"] != 2 { // start and end
			t.Errorf("%s: it has %d main and %d h1 tags", name, ids["main"], ids["h1"])
		}
	}
}

// What strangers put into the DNS does not control the terminal.
func TestTextIsSafe(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Findings[0].Evidence = []string{"\x1b[2Jgone\r"}
	if text := rendered(t, r, "txt"); bytes.ContainsAny(text, "\x1b\r") {
		t.Errorf("a control character comes through: %q", text)
	}
}

// The summary comes last, as one line that says everything.
func TestSummaryLine(t *testing.T) {
	t.Parallel()
	lines := strings.Split(strings.TrimSpace(string(rendered(t, sample(), "txt"))), "\n")
	want := "BLOCKED: 2 block, 3 warn, 3 pass, 3 info, 1 not checked - enotify sends nothing until it is cured; then 8,412 of 9,120, done in about 2 h 40 min (outlook is slowest)"
	if got := lines[len(lines)-1]; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A report that blocks never says that the mail will be sent, and a batch that is
// being sent is not told to wait.
func TestSummaryOfABlockedReport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		state      string
		enforced   bool
		line, page string
	}{
		{"draft", true, "enotify sends nothing until it is cured; then 655 of 655, done in about", "Do not send yet"},
		{"blocked", true, "enotify sends nothing until it is cured; then 655 of 655, done in about", "Do not send yet"},
		{"draft", false, "enotify does not enforce that: submitted anyway, it goes to 655 of 655, done in about",
			"Do not send yet"},
		{"queued", false, "enotify does not enforce that: unless it is paused, it goes to 655 of 655, done in about",
			"Do not send yet"},
		{"sending", false, "enotify does not enforce that: it is being sent, to 655 of 655, done in about",
			"It is being sent"},
		{"retrying", false, "enotify does not enforce that: it is being sent, to 655 of 655, done in about",
			"It is being sent"},
	} {
		r := sample()
		r.Subject.State, r.Findings[0].Enforced, r.Summary.Recipients, r.Summary.Sendable = c.state, c.enforced, 655,
			655
		if got := r.Line(); !strings.Contains(got, c.line) || strings.Contains(got, "will be sent") {
			t.Errorf("%s, enforced %v: got line %q, want %q in it", c.state, c.enforced, got, c.line)
		}
		if got := string(rendered(t, r, "html")); !strings.Contains(got, c.page) || c.page != "Do not send yet" &&
			strings.Contains(got, "Do not send yet") {
			t.Errorf("%s, enforced %v: got a page without %q, or with other words", c.state, c.enforced, c.page)
		}
	}
}

// Findings that the same lines cure share one card, which names them all; a page for a
// client has no command of ours and says each line once.
func TestOneCardForOneCause(t *testing.T) {
	t.Parallel()
	r := clientSample()
	twin := r.Findings[0]
	twin.ID, twin.Title, twin.Found = "spf.lookups", "The SPF record is broken",
		"It has 11 look-ups; see enotify spf lint town.example."
	r.Findings = append(r.Findings, twin)
	got := string(rendered(t, r, "html"))
	if n := strings.Count(got, `class="card block"`); n != 3 { // a wrong record, a missing one, and the cause
		t.Errorf("got %d cards that block, want 3", n)
	}
	if !strings.Contains(got, "<b>The SPF record is broken.</b>") {
		t.Error("the card does not name the second finding")
	}
	for _, command := range []string{"enotify spf", "enotify client", "Check again"} {
		if strings.Contains(got, command) {
			t.Errorf("the client's page says %q", command)
		}
	}
	if n := strings.Count(got, `class="fix"`); n != 2 {
		t.Errorf("got %d lines to publish, want the two that are not right", n)
	}
	for _, field := range []string{"<dt>Host</dt><dd><pre>@</pre>",
		`<dt>Host</dt><dd><pre><span class="k">_dmarc</span></pre>`, "<dt>Type</dt><dd><pre>TXT</pre>"} {
		if !strings.Contains(got, field) {
			t.Errorf("got no %s", field)
		}
	}
}
