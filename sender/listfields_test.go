package sender_test

import (
	"net/textproto"
	"strings"
	"testing"

	"enotify/queue"
	"enotify/sender/smtptest"
	"enotify/sender/token"

	"github.com/google/go-cmp/cmp"
)

// What receivers ask of a list is in every message, and leads back to its
// recipient by a signature of ours.
func TestListFields(t *testing.T) {
	t.Parallel()
	keys := token.Keys{{ID: "1", Secret: []byte(strings.Repeat("secret", 6))}}
	who := token.Subject{Batch: testBatch.ID, Seq: 7}
	unsubscribe := "https://mail.host.test/u/" + keys.Mint(token.Unsubscribe, who)
	byMail := "mailto:" + keys.Address(token.Unsubscribe, who, "b.from.test") + "?subject=unsubscribe"
	for _, test := range []struct {
		name      string
		batch     func(b *queue.Batch)
		publicURL string
		want      map[string]string
	}{
		{"all", func(b *queue.Batch) { b.Bounces = queue.Bounces{Mode: queue.BounceOwn, Domain: "b.from.test"} },
			"https://mail.host.test", map[string]string{
				"List-Id": "<notify.from.test>", "Feedback-ID": "7:from.test:news:host", "List-Unsubscribe": "<" +
					unsubscribe + ">, <" + byMail + ">",
				"List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
				"CFBL-Address":          keys.Address(token.Complaint, who, "b.from.test") + "; report=arf",
			}},
		{"no page", func(b *queue.Batch) { b.Bounces = queue.Bounces{Mode: queue.BounceOwn, Domain: "b.from.test"} },
			"", map[string]string{
				"List-Id": "<notify.from.test>", "Feedback-ID": "7:from.test:news:host", "List-Unsubscribe": "<" +
					byMail +
					">",
				"CFBL-Address": keys.Address(token.Complaint, who, "b.from.test") + "; report=arf",
			}},
		{"no address of ours", func(b *queue.Batch) { b.Priority = 9 }, "https://mail.host.test", map[string]string{
			"List-Id": "<notify.from.test>", "Feedback-ID": "7:from.test:alert:host", "List-Unsubscribe": "<" +
				unsubscribe + ">",
			"List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
		}},
		{"a list of the application's own", func(b *queue.Batch) {
			b.Headers = []queue.Header{{Name: "List-Id", Value: "Agenda <agenda.from.test>"}}
			b.ListUnsubscribe = "https://from.test/leave"
		}, "https://mail.host.test", map[string]string{
			"List-Id": "Agenda <agenda.from.test>", "Feedback-ID": "7:from.test:news:host",
			"List-Unsubscribe":      "<https://from.test/leave>",
			"List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, host := one(t, smtptest.Config{})
			w.sender.Keys, w.sender.PublicURL, w.sender.FeedbackSender = keys, test.publicURL, "host"
			b := *testBatch
			test.batch(&b)
			if o := w.deliver(t, to(&b, 7, "user@a.test")); o.State != queue.Delivered {
				t.Fatalf("outcome: got %+v, want delivered", o)
			}
			header, _ := parse(t, host.Messages()[0].Data)
			got := map[string]string{}
			for _, name := range []string{"List-Id", "Feedback-ID", "List-Unsubscribe", "List-Unsubscribe-Post",
				"CFBL-Address", "Auto-Submitted", "Precedence"} {
				if v := header[textproto.CanonicalMIMEHeaderKey(name)]; len(v) > 0 {
					got[name] = strings.Join(v, " and ")
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}
