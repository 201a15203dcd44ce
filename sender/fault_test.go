package sender_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/sender/smtptest"
)

// A field that nobody has, and a template that does too much for everybody, are
// the batch's fault after ten recipients; one that many lack is not, once
// somebody got a message.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		data       func(i int) string
		want       map[string]int
		fault      string
	}{
		{"misspelled field", "Dear {{.naem}}", func(int) string { return `{"name":"Ada"}` },
			map[string]int{"invalid content": 9, "deferred not_begun": 11},
			`none of the first 10 recipients could get a message: the recipient's data has no value for the merge field "naem" of the text`},
		{"missing for most", "Dear {{.name}}", func(i int) string {
			if i == 3 {
				return `{"name":"Ada"}`
			}
			return `{}`
		}, map[string]int{"invalid content": 19, "delivered": 1}, ""},
		{"too much, for some", "{{if .l}}{{range .l}}{{range $.l}}{{range $.l}}{{end}}{{end}}{{end}}{{end}}",
			func(i int) string {
				if i == 0 {
					return `{}`
				}
				return `{"l":[` + strings.TrimSuffix(strings.Repeat("0,", 300), ",") + `]}`
			}, map[string]int{"delivered": 1, "invalid content": 9, "deferred not_begun": 10},
			"for 10 recipients a template did more than it may: the text cannot be filled: the template takes more than 100000 steps"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, _ := one(t, smtptest.Config{})
			b := *testBatch
			b.Text = test.text
			var outcomes []queue.Outcome
			fault := ""
			for i := range 20 {
				o := w.deliver(t, to(&b, i+1, fmt.Sprintf("u%d@a.test", i), test.data(i)))
				outcomes, fault = append(outcomes, o), o.Fault
			}
			if diff := cmp.Diff(test.want, count(outcomes)); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			if !strings.HasPrefix(fault, test.fault) || fault != "" && test.fault == "" {
				t.Errorf("fault: got %q, want %q", fault, test.fault)
			}
		})
	}
}
