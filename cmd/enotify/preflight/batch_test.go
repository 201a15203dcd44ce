package preflight_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"enotify/cmd/enotify/forecast"
	"enotify/cmd/enotify/judge"
	"enotify/cmd/enotify/preflight"
	"enotify/queue"
	"enotify/queue/insight"
	"enotify/queue/warmup"
	"enotify/sender"
	"enotify/sender/compose"
	"enotify/sender/dkim"
	"enotify/sender/throttle"
)

// campaign is an input with a batch in which nothing is wrong: a text and
// HTML to 900 people whom the client has written to before.
func campaign(in *preflight.Input) {
	in.Batch = &queue.Batch{
		ID: 42, Client: "town.example", From: "clerk@town.example", Subject: "Agenda", Text: "Come.",
		HTML:            `<p>Come, <a href="https://town.example/">all</a>.</p>`,
		ListUnsubscribe: "https://town.example/u", CreatedAt: at, ExpiresAt: at.Add(72 * time.Hour),
	}
	in.BatchID, in.State = 42, "draft"
	in.Census = &insight.Census{Given: 900, Sendable: 900, Known: 890, EarlierBatches: 3,
		Domains: []insight.DomainCount{{Domain: "a.test", N: 600}, {Domain: "b.test", N: 300}}}
	in.Directory = preflight.Directory{Facts: map[string]queue.Survey{"a.test": {Site: "google"},
		"b.test": {Site: "google"}}}
	in.Bounces = []preflight.BatchBounces{{Batch: 40, At: at.AddDate(0, -1, 0), Sent: 900, Bounced: 3}}
	in.LargestDay = 900
	in.Plan.Limits = limits(nil)
}

// render makes the messages of in as the sender does.
func renderBatch(t *testing.T, in *preflight.Input, keyDir string, alike ...string) {
	t.Helper()
	if err := compose.Check(in.Batch); err != nil {
		in.Rendering = preflight.Rendering{Err: err}
		return
	}
	mail := &sender.Sender{}
	mail.DKIM.Path = keyDir
	var err error
	if in.Rendering, err = preflight.Render(in.Batch, in.Census, mail.Render,
		func(insight.Shape, int) ([]string, error) { return alike, nil }); err != nil {
		t.Fatal(err)
	}
}

// Each row of a batch: a campaign in which it passes, one in which it fails,
// and one that nobody can judge.
func TestBatchRows(t *testing.T) {
	t.Parallel()
	broken := func(in *preflight.Input) { in.Batch.Subject = "{{" }
	subject := func(in *preflight.Input) { in.Batch.Subject = "Agenda for {{.ward}}" }
	body := func(html string) func(*preflight.Input) {
		return func(in *preflight.Input) { in.Batch.HTML = html }
	}
	no := func(domain, enhanced string) func(*preflight.Input) {
		return func(in *preflight.Input) {
			in.Census.Domains = append(in.Census.Domains, insight.DomainCount{Domain: domain, N: 7})
			in.Directory.Facts[domain] = queue.Survey{Site: domain,
				NoMail: &queue.Outcome{State: queue.Bounced,
					Reply: queue.Reply{Enhanced: enhanced, Text: "takes no mail"}}}
		}
	}
	inside := func(in *preflight.Input) {
		in.Census.Domains = append(in.Census.Domains, insight.DomainCount{Domain: "inside.test", N: 7})
		in.Directory.Facts["inside.test"] = queue.Survey{Site: "inside.test"}
		in.AskReach(t.Context(), func(_ context.Context, domain string) string {
			if domain == "inside.test" {
				return "mx.inside.test has 10.1.2.3, a private address (RFC 1918)"
			}
			return ""
		})
	}
	silent := func(in *preflight.Input) {
		delete(in.Directory.Facts, "b.test")
		in.Directory.Unanswered, in.Directory.Trouble = []string{"b.test"}, errors.New("timeout")
	}
	past := func(sent, bounced int) func(*preflight.Input) {
		return func(in *preflight.Input) {
			in.Bounces = []preflight.BatchBounces{{Batch: 1, At: at, Sent: sent, Bounced: bounced}}
		}
	}
	spam := func(sent, complaints int) func(*preflight.Input) {
		return func(in *preflight.Input) {
			in.Complaints = []insight.Complained{{Client: "town.example",
				ComplaintRate: queue.ComplaintRate{Days: 30, Accepted: sent, Complaints: complaints}}}
		}
	}
	dir := &dkim.Directory{Path: t.TempDir()}
	ours, err := dir.Generate("town.example", "e1", dkim.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	published := fmt.Sprintf("e1._domainkey.town.example. TXT %q", ours.Record())
	signed := func(in *preflight.Input) {
		in.Batch.DKIMSelectors = []string{"e1"}
		in.Keys = []judge.Key{{Domain: "town.example", Selector: "e1", Public: ours.Public()}}
	}
	page := func(get, post int, acts bool) func(in *preflight.Input) {
		return func(in *preflight.Input) {
			acted := false
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				status := get
				if r.Method == http.MethodPost {
					status = post
				}
				acted = acted || acts && r.Method == http.MethodGet
				w.WriteHeader(status)
				fmt.Fprint(w, "<h1>no such link</h1>")
			}))
			t.Cleanup(server.Close)
			in.Batch.ListUnsubscribe = ""
			in.OneClick = &preflight.OneClick{Known: server.URL + "/u/known", Unknown: server.URL + "/u/unknown",
				Says: "no such link", Client: server.Client(),
				Acted: func(context.Context) (bool, error) { return acted, nil }}
		}
	}
	for _, c := range []struct {
		rowCase
		sample string // in place of what was rendered
	}{
		{rowCase: rowCase{name: "verifies", row: "dkim.sign", zone: published, want: pass, says: "verifies",
			change: signed}},
		{rowCase: rowCase{name: "not published", row: "dkim.sign", want: block, says: "No signature", change: signed}},
		{rowCase: rowCase{name: "another key", row: "dkim.sign",
			zone: `e1._domainkey.town.example. TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="`, want: block, change: signed}},
		{rowCase: rowCase{name: "not signed", row: "dkim.sign", zone: published, want: block, says: "no signature",
			change: func(in *preflight.Input) {
				signed(in)
				in.Batch.DKIMSelectors = nil
			}}},
		{rowCase: rowCase{name: "no directory", row: "dkim.sign", want: notChecked, says: "--dkim-dir"}},
		{rowCase: rowCase{name: "no answer", row: "dkim.sign", failing: []string{"e1._domainkey.town.example"},
			want: notChecked, change: signed}},
		{rowCase: rowCase{name: "key cannot be read", row: "dkim.key", want: block, says: "permission denied",
			change: func(in *preflight.Input) { in.KeyTrouble = errors.New("permission denied") }}},

		{rowCase: rowCase{name: "acts", row: "unsub.works", want: pass, change: page(200, 404, false)}},
		{rowCase: rowCase{name: "nobody to try", row: "unsub.works", want: pass, says: "not tried: no batch",
			change: func(in *preflight.Input) {
				page(200, 404, true)(in)
				in.OneClick.Known, in.OneClick.Untried = "", "no batch"
			}}},
		{rowCase: rowCase{name: "another page", row: "unsub.works", want: warn, says: "another page than ours",
			change: func(in *preflight.Input) {
				page(200, 404, false)(in)
				in.OneClick.Says = "not known here"
			}}},
		{rowCase: rowCase{name: "GET acts", row: "unsub.works", want: warn, says: "link scanner",
			change: page(200, 404, true)}},
		{rowCase: rowCase{name: "POST refused", row: "unsub.works", want: warn, says: "405",
			change: page(200, 405, false)}},
		{rowCase: rowCase{name: "another site", row: "unsub.works", want: warn, says: "502",
			change: page(502, 502, false)}},
		{rowCase: rowCase{name: "not reached", row: "unsub.works", want: notChecked, says: "Nobody could say",
			change: func(in *preflight.Input) {
				in.Batch.ListUnsubscribe = ""
				in.OneClick = &preflight.OneClick{Unknown: "https://127.0.0.1:9/u/x"}
			}}},

		{rowCase: rowCase{name: "no fields", row: "hdr.merge", want: pass, says: "no merge fields"}},
		{rowCase: rowCase{name: "filled", row: "hdr.merge", want: pass, says: "1 set",
			change: func(in *preflight.Input) {
				subject(in)
				in.Census.Shapes = []insight.Shape{{N: 900, Address: "a@a.test", Data: []byte(`{"ward": "North"}`)}}
			}}},
		{rowCase: rowCase{name: "missing", row: "hdr.merge", want: block,
			says: "12 recipients: the recipient's data has no value for the merge field \"ward\"",
			change: func(in *preflight.Input) {
				subject(in)
				in.Census.Shapes = []insight.Shape{{N: 888, Address: "a@a.test", Data: []byte(`{"ward": "North"}`)},
					{N: 12, Address: "b@a.test", Data: []byte(`{"ward": null}`)}}
			}}},
		{rowCase: rowCase{name: "empty", row: "hdr.merge", want: warn,
			says: "12 recipients: the merge field \"ward\" is empty",
			change: func(in *preflight.Input) {
				subject(in)
				in.Census.Shapes = []insight.Shape{{N: 12, Address: "b@a.test", Data: []byte(`{"ward": " ", "unused": ""}`)}}
			}}},
		{rowCase: rowCase{name: "empty, and optional", row: "hdr.merge", want: pass, says: "1 set",
			change: func(in *preflight.Input) {
				in.Batch.Subject = `Agenda for {{or .ward "you"}}`
				in.Census.Shapes = []insight.Shape{{N: 12, Address: "b@a.test", Data: []byte(`{"ward": ""}`)}}
			}}},
		{rowCase: rowCase{name: "named", row: "hdr.merge", want: block, says: "    named@a.test\n    and 11 more",
			change: func(in *preflight.Input) {
				subject(in)
				in.Census.Shapes = []insight.Shape{{N: 12, Address: "b@a.test"}}
			}}},
		{rowCase: rowCase{name: "braces", row: "hdr.merge", want: block, says: "a {{ or }} is left",
			change: func(in *preflight.Input) {
				subject(in)
				in.Census.Shapes = []insight.Shape{{N: 12, Address: "b@a.test", Data: []byte(`{"ward": "{{name}}"}`)}}
			}}},
		{rowCase: rowCase{name: "too many shapes", row: "hdr.merge", want: warn, says: "5 recipients were not tried",
			change: func(in *preflight.Input) {
				in.Census.Shapes, in.Census.OtherShapes = []insight.Shape{{N: 895, Address: "b@a.test"}}, 5
			}}},
		{rowCase: rowCase{name: "broken template", row: "hdr.merge", want: block, says: "No message can be composed",
			change: broken}},
		{rowCase: rowCase{name: "nobody", row: "hdr.merge", want: notChecked,
			change: func(in *preflight.Input) { in.Census.Sendable, in.Census.Domains = 0, nil }}},

		{rowCase: rowCase{name: "well formed", row: "hdr.5322", want: pass}},
		{rowCase: rowCase{name: "two From", row: "hdr.5322", want: block, says: "From is there 2 times"},
			sample: "From: a@a.test\r\nFrom: b@a.test\r\nSubject: x\r\nMessage-ID: <x@y>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\nx\r\n"},
		{rowCase: rowCase{name: "bare LF", row: "hdr.5322", want: block, says: "line 6 ends in a bare CR or LF"},
			sample: "From: a@a.test\r\nSubject: x\r\nMessage-ID: <x@y>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\nx\ny\r\n"},
		{rowCase: rowCase{name: "long line", row: "hdr.5322", want: block, says: "has 1200 octets"},
			sample: "From: a@a.test\r\nSubject: x\r\nMessage-ID: <x@y>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n" + strings.Repeat("x", 1200) + "\r\n"},
		{rowCase: rowCase{name: "nothing rendered", row: "hdr.5322", want: notChecked, change: broken,
			says: "see hdr.merge"}},

		{rowCase: rowCase{name: "small", row: "body.size", want: pass, says: "1 KB"}},
		{rowCase: rowCase{name: "clipped", row: "body.size", want: warn, says: "cuts off the rest",
			change: body("<p>" + strings.Repeat("long ", 25_000))}},
		{rowCase: rowCase{name: "large", row: "body.size", want: block, says: "many receivers",
			change: func(in *preflight.Input) {
				in.Batch.Attachments = []queue.Attachment{{Filename: "a.bin", Content: make([]byte, 9<<20)}}
			}}},
		{rowCase: rowCase{name: "nothing rendered", row: "body.size", want: notChecked, change: broken}},

		{rowCase: rowCase{name: "both", row: "body.text", want: pass}},
		{rowCase: rowCase{name: "text alone", row: "body.text", want: pass, change: body(""), says: "alone"}},
		{rowCase: rowCase{name: "HTML alone: text is made of it", row: "body.text", want: pass,
			change: func(in *preflight.Input) { in.Batch.Text = "" }}},
		{rowCase: rowCase{name: "pictures alone", row: "body.text", want: warn, says: "no plain text",
			change: func(in *preflight.Input) {
				in.Batch.Text, in.Batch.HTML = "", `<img alt="" src="https://a.test/1">`
			}}},
		{rowCase: rowCase{name: "plain links", row: "body.text", want: warn, says: "1 link without TLS",
			change: body(`<a href="http://town.example/">x</a>`)}},
		{rowCase: rowCase{name: "mute pictures", row: "body.text", want: warn, says: "2 pictures without alt",
			change: body(`<img src="https://a.test/1"><img src="https://a.test/2"><img alt="" src="https://a.test/3">`)}},
		{rowCase: rowCase{name: "script", row: "body.text", want: warn, says: "<script>",
			change: body(`<script>alert(1)</script>`)}},
		{rowCase: rowCase{name: "nothing rendered", row: "body.text", want: notChecked, change: broken}},

		{rowCase: rowCase{name: "one click", row: "unsub.header", want: pass, says: "One-Click"}},
		{rowCase: rowCase{name: "mailto", row: "unsub.header", want: warn, says: "no https: address",
			change: func(in *preflight.Input) { in.Batch.ListUnsubscribe = "mailto:u@town.example" }}},
		{rowCase: rowCase{name: "none, few", row: "unsub.header", want: warn,
			change: func(in *preflight.Input) { in.Batch.ListUnsubscribe = "" }}},
		{rowCase: rowCase{name: "none, many", row: "unsub.header", want: block,
			change: func(in *preflight.Input) { in.Batch.ListUnsubscribe, in.SentToday = "", 4200 }}},
		{rowCase: rowCase{name: "nothing rendered", row: "unsub.header", want: notChecked, change: broken}},
		{rowCase: rowCase{name: "not ours", row: "unsub.works", want: notChecked, says: "Try it by hand"}},
		{rowCase: rowCase{name: "none", row: "unsub.works", want: info,
			change: func(in *preflight.Input) { in.Batch.ListUnsubscribe = "" }}},

		{rowCase: rowCase{name: "no DMARC, many", row: "dmarc.record", zone: `_dmarc.town.example. TXT "x"`,
			want: block, change: func(in *preflight.Input) { in.SentToday = 4200 }}},

		{rowCase: rowCase{name: "fine", row: "rcpt.syntax", want: pass}},
		{rowCase: rowCase{name: "some bad", row: "rcpt.syntax", want: info, says: `2 addresses: no @, as in "ada"`,
			change: func(in *preflight.Input) {
				in.Census.Invalid = []insight.Tally{{Reason: "no @", N: 2,
					Example: "ada"}}
			}}},
		{rowCase: rowCase{name: "letters", row: "rcpt.syntax", want: info, says: "SMTPUTF8",
			change: func(in *preflight.Input) { in.Census.UTF8 = 3 }}},
		{rowCase: rowCase{name: "nobody", row: "rcpt.syntax", want: block,
			change: func(in *preflight.Input) { in.Census.Sendable = 0 }}},
		{rowCase: rowCase{name: "once", row: "rcpt.dup", want: pass}},
		{rowCase: rowCase{name: "twice", row: "rcpt.dup", want: info, says: "1 line repeats",
			change: func(in *preflight.Input) { in.Census.Duplicates = 1 }}},
		{rowCase: rowCase{name: "none", row: "rcpt.suppressed", want: pass}},
		{rowCase: rowCase{name: "some", row: "rcpt.suppressed", want: info,
			says: "unsubscribe: 33, 24 h to 30 days old", change: func(in *preflight.Input) {
				in.Census.Suppressed = []insight.Suppressions{{Cause: "unsubscribe", N: 33,
					Oldest: at.AddDate(0, 0, -30),
					Newest: at.AddDate(0, 0, -1)}}
			}}},
		{rowCase: rowCase{name: "none", row: "rcpt.role", want: pass}},
		{rowCase: rowCase{name: "some", row: "rcpt.role", want: warn, says: "abuse@a.test",
			change: func(in *preflight.Input) {
				in.Census.Roles, in.Census.RoleExamples = 1,
					[]string{"abuse@a.test"}
			}}},
		{rowCase: rowCase{name: "all there", row: "rcpt.nomx", want: pass, says: "All 2 domains"}},
		{rowCase: rowCase{name: "gone", row: "rcpt.nomx", want: warn, says: "gone.test: 7 recipients",
			change: no("gone.test", "5.1.2")}},
		{rowCase: rowCase{name: "no answer", row: "rcpt.nomx", want: notChecked, says: "no answer for 1 of 2 domains",
			change: silent}},
		{rowCase: rowCase{name: "none", row: "rcpt.nullmx", want: pass, change: no("gone.test", "5.1.2")}},
		{rowCase: rowCase{name: "null", row: "rcpt.nullmx", want: warn, says: "null.test: 7 recipients",
			change: no("null.test", "5.1.10")}},
		{rowCase: rowCase{name: "no answer", row: "rcpt.nullmx", want: notChecked, change: silent}},
		{rowCase: rowCase{name: "none", row: "mx.private", want: pass}},
		{rowCase: rowCase{name: "inside", row: "mx.private", want: warn,
			says: "inside.test: 7 recipients, mx.inside.test has 10.1.2.3", change: inside}},
		{rowCase: rowCase{name: "by a smarthost", row: "mx.private", want: pass,
			change: func(in *preflight.Input) { inside(in); in.Directory.Smarthost = "relay.test" }}},
		{rowCase: rowCase{name: "no answer", row: "mx.private", want: notChecked, change: silent}},
		{rowCase: rowCase{name: "none", row: "rcpt.typo", want: pass, change: no("gone.test", "5.1.2")}},
		{rowCase: rowCase{name: "swapped", row: "rcpt.typo", want: info,
			says: "gmial.com: 7 recipients, probably gmail.com", change: no("gmial.com", "5.1.2")}},
		{rowCase: rowCase{name: "no answer", row: "rcpt.typo", want: notChecked, change: silent}},
		{rowCase: rowCase{name: "by site", row: "rcpt.provider", want: info,
			says: "900 recipients at 1 mail provider: google 100 %"}},
		{rowCase: rowCase{name: "no answer", row: "rcpt.provider", want: info, says: "no answer for 1 domain",
			change: silent}},
		{rowCase: rowCase{name: "known", row: "rcpt.new", want: pass, says: "1.1 % of the recipients"}},
		{rowCase: rowCase{name: "bought", row: "rcpt.new", want: warn, says: "80 %",
			change: func(in *preflight.Input) { in.Census.Known = 180 }}},
		{rowCase: rowCase{name: "some of few", row: "rcpt.new", want: pass,
			change: func(in *preflight.Input) { in.Census.Sendable, in.Census.Known = 5, 3 }}},
		{rowCase: rowCase{name: "the first", row: "rcpt.new", want: warn, says: "first batch",
			change: func(in *preflight.Input) { in.Census.Known, in.Census.EarlierBatches = 0, 0 }}},
		{rowCase: rowCase{name: "nobody", row: "rcpt.new", want: notChecked,
			change: func(in *preflight.Input) { in.Census.Sendable, in.Census.Domains = 0, nil }}},

		{rowCase: rowCase{name: "smarthost", row: "rcpt.provider", want: info, says: "All mail goes to relay.test",
			change: func(in *preflight.Input) { in.Directory.Smarthost = "relay.test" }}},
		{rowCase: rowCase{name: "smarthost", row: "eta", want: info, says: "relay.test: ",
			change: func(in *preflight.Input) { in.Directory.Smarthost = "relay.test" }}},
		{rowCase: rowCase{name: "in time", row: "eta", want: info, says: "google: 900 messages in 56 s"}},
		{rowCase: rowCase{name: "measured", row: "eta", want: info,
			says: "12.3ms in one connection (what the nodes measured", change: func(in *preflight.Input) {
				in.Plan.Message, in.Plan.Measured = 12345*time.Microsecond, true
			}}},
		{rowCase: rowCase{name: "nothing measured", row: "eta", want: info,
			says:   "300ms in one connection (nothing was measured",
			change: func(in *preflight.Input) { in.Plan.Message = 0 }}},
		{rowCase: rowCase{name: "retries", row: "eta", want: info, says: "counted: 7 recipients of earlier batches",
			change: func(in *preflight.Input) {
				in.Plan.Retries = []forecast.Waiting{{Domain: "a.test", Site: "google", N: 7},
					{Domain: "b.test", Site: "elsewhere", N: 5}}
			}}},
		{rowCase: rowCase{name: "by destination", row: "eta", want: info, says: "it may begin sooner",
			change: func(in *preflight.Input) {
				in.Plan.Overlap, in.Plan.Ahead = true,
					[]forecast.Load{{Domains: []forecast.Waiting{{Domain: "a.test", Site: "google", N: 10}}}}
			}}},
		{rowCase: rowCase{name: "too late", row: "eta", want: warn, says: "about 780 recipients would not be tried",
			change: func(in *preflight.Input) {
				in.Plan.Limits = limits(map[string]throttle.Policy{"*": {Rate: 1, Burst: 1}})
				in.Batch.ExpiresAt = at.Add(time.Minute)
			}}},
		{rowCase: rowCase{name: "never", row: "eta", want: warn, says: "two months", change: func(in *preflight.Input) {
			in.Plan.Limits = limits(map[string]throttle.Policy{"*": {Rate: 1e-6, Burst: 1}})
		}}},
		{rowCase: rowCase{name: "limits unknown", row: "eta", want: notChecked,
			change: func(in *preflight.Input) { in.Plan.Limits = nil }}},

		{rowCase: rowCase{name: "few", row: "hist.bounce", want: pass, says: "0.3 %"}},
		{rowCase: rowCase{name: "some", row: "hist.bounce", want: warn, change: past(1000, 30)}},
		{rowCase: rowCase{name: "many", row: "hist.bounce", want: block, change: past(1000, 60)}},
		{rowCase: rowCase{name: "many of few", row: "hist.bounce", want: info, says: "That says little",
			change: past(19, 7)}},
		{rowCase: rowCase{name: "many of just enough", row: "hist.bounce", want: block, change: past(200, 11)}},
		{rowCase: rowCase{name: "nothing sent", row: "hist.bounce", want: info,
			change: func(in *preflight.Input) { in.Bounces = nil }}},
		{rowCase: rowCase{name: "none", row: "hist.complaint", want: pass}},
		{rowCase: rowCase{name: "few messages", row: "hist.complaint", want: info, says: "of fewer than 1,000 messages",
			change: spam(999, 9)}},
		{rowCase: rowCase{name: "few", row: "hist.complaint", want: pass, says: "called spam",
			change: spam(10_000, 9)}},
		{rowCase: rowCase{name: "some", row: "hist.complaint", want: warn, change: spam(10_000, 10)}},
		{rowCase: rowCase{name: "many", row: "hist.complaint", want: block, says: "goes on sending",
			change: spam(10_000, 30)}},
		{rowCase: rowCase{name: "few", row: "warmup", want: pass}},
		{rowCase: rowCase{name: "as ever", row: "warmup", want: pass,
			change: func(in *preflight.Input) { in.Census.Sendable, in.LargestDay = 4000, 2000 }}},
		{rowCase: rowCase{name: "a leap", row: "warmup", want: warn,
			change: func(in *preflight.Input) { in.Census.Sendable, in.LargestDay = 4001, 2000 }}},
		{rowCase: rowCase{name: "from nothing", row: "warmup", want: warn,
			change: func(in *preflight.Input) { in.Census.Sendable, in.LargestDay = 4001, 0 }}},
		{rowCase: rowCase{name: "an address within its day", row: "warmup", want: pass, change: warming(100, false)}},
		{rowCase: rowCase{name: "an address that is warming up", row: "warmup", want: warn,
			says: "let the last of them leave in 32 h", change: warming(351, false)}},
		{rowCase: rowCase{name: "the same beside warm ones", row: "warmup", want: pass,
			says: "the others leave from warm addresses", change: warming(351, true)}},
		{rowCase: rowCase{name: "an address that is warming up", row: "eta", want: info, says: "within about 32 h",
			change: warming(351, false)}},
	} {
		change := c.change
		c.change = func(in *preflight.Input) {
			campaign(in)
			if change != nil {
				change(in)
			}
			renderBatch(t, in, dir.Path, "named@a.test")
			if c.sample != "" {
				in.Rendering.Sample = []byte(c.sample)
			}
		}
		t.Run(c.row+"/"+c.name, c.run)
	}
}

// A report of a batch has every row, once, in order.
func TestEveryRow(t *testing.T) {
	t.Parallel()
	in := input(t, "")
	campaign(in)
	renderBatch(t, in, "")
	r, err := preflight.Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.Findings {
		got = append(got, f.ID)
	}
	if want := slices.DeleteFunc(preflight.IDs(),
		func(id string) bool { return strings.HasPrefix(id, "rule.") }); strings.Join(got, " ") != strings.Join(want,
		" ") {
		t.Errorf("rows: got %v\nwant %v", got, want)
	}
}

// Domains are asked for once, some at a time, and what is known is not asked for.
func TestAskDomains(t *testing.T) {
	t.Parallel()
	var domains []insight.DomainCount
	for i := range 1000 {
		domains = append(domains, insight.DomainCount{Domain: fmt.Sprintf("d%d.test", i), N: 1000 - i})
	}
	known := []queue.DomainFact{{Domain: "d0.test", Survey: queue.Survey{Site: "google"}}}
	steps := 0
	d, found, err := preflight.AskDomains(t.Context(), domains, known,
		func(_ context.Context, domain string) (queue.Survey, error) {
			if domain == "d7.test" || domain == "d5.test" {
				return queue.Survey{}, errors.New("timeout")
			}
			return queue.Survey{Site: domain}, nil
		}, func(done, all int) { steps++ })
	if err != nil {
		t.Fatal(err)
	}
	if d.Asked != 999 || steps != 999 || len(found) != 997 || len(d.Facts) != 998 ||
		d.Facts["d0.test"].Site != "google" {
		t.Errorf("asked %d in %d steps, found %d, know %d", d.Asked, steps, len(found), len(d.Facts))
	}
	if got := strings.Join(d.Unanswered, " "); got != "d5.test d7.test" {
		t.Errorf("unanswered: got %s", got)
	}
}

func limits(policies map[string]throttle.Policy) *throttle.Throttle {
	t := &throttle.Throttle{}
	t.SetPolicies(policies)
	return t
}

// warming is a campaign of n messages from an address that may send 100 today and 150 on
// the next day, and then as many as it likes; a warm one of its pool stands beside it.
func warming(n int, spills bool) func(in *preflight.Input) {
	return func(in *preflight.Input) {
		in.Census.Sendable, in.Census.Domains = n, []insight.DomainCount{{Domain: "a.test", N: n}}
		w := forecast.Warming{Site: "*", Plan: warmup.Plan{50, 100, 150}, Step: 1, Spills: spills,
			Zone: time.FixedZone("8 h before midnight", 3600*(16-at.Hour())-60*at.Minute())}
		in.Plan.Addresses = []forecast.Address{
			{Addr: netip.MustParseAddr("192.0.2.10"), Weight: 1000, Plans: []forecast.Warming{w}},
			{Addr: netip.MustParseAddr("192.0.2.11"), Weight: 1}}
	}
}
