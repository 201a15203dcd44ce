package page_test

import (
	"strings"
	"testing"

	"enotify/cmd/enotify/page"
)

var show = page.New("test", `{{template "text" .}}`, nil)

// Terms and commands are parts of their own, the words around them are not, and
// nothing of the text is lost.
func TestText(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"Wait a day.", "Wait a day."},
		{"Publish ip4:192.0.2.1 now", `Publish <span class="k">ip4:192.0.2.1</span> now`},
		{"look: enotify spf check town.example, then wait",
			`look: <code>enotify spf check <span class="k">town.example</span></code>, then wait`},
		{"enotify batch requeue 42 --class auth_rejected.",
			`<code>enotify batch requeue 42 <span class="k">--class</span> <span class="k">auth_rejected</span></code>.`},
		{"enotify sends nothing until it is cured", "enotify sends nothing until it is cured"},
		{"enotify batch show 42 says why", `<code>enotify batch show 42</code> says why`},
		{`<script>alert("x-y")</script>`, `<span class="w">&lt;script&gt;alert(&#34;x-y&#34;)&lt;/script&gt;</span>`},
	} {
		var got strings.Builder
		if err := show.Execute(&got, c[0]); err != nil {
			t.Fatal(err)
		}
		if got.String() != c[1] {
			t.Errorf("%s:\ngot  %s\nwant %s", c[0], got.String(), c[1])
		}
	}
}

// A client is told nothing that takes enotify.
func TestForClients(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"Sign with d=town.example (enotify client key, client set), or take an envelope sender within town.example.",
			"Sign with d=town.example, or take an envelope sender within town.example."},
		{"Publish it. Then run enotify spf check town.example. It takes a day.", "Publish it. It takes a day."},
		{"enotify sends nothing until this is cured", "we send nothing until this is cured"},
		{"The record of town.example is v=spf1 ip4:192.0.2.1 -all.",
			"The record of town.example is v=spf1 ip4:192.0.2.1 -all."},
	} {
		if got := page.ForClients(c[0]); got != c[1] {
			t.Errorf("%s:\ngot  %q\nwant %q", c[0], got, c[1])
		}
	}
}
