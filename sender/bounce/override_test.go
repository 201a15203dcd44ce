package bounce_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/queue"
	"enotify/sender/bounce"
)

const ownRule = `# Our rules.

rule    corp-left
class   no_such_user
when    5xx site:corp.example
says    is no longer with us
source  ticket 4711, 2026-11
example site mx.corp.example: 550 Ada is no longer with us
not     site mx.else.example: 550 Ada is no longer with us
`

func TestOverride(t *testing.T) {
	t.Parallel()
	rules, err := bounce.Override(ownRule + `
rule    full
class   policy
says    mailbox full
source  ticket 4712, 2026-11
example 552 5.2.2 Mailbox full

off     hedged
`)
	if err != nil {
		t.Fatal(err)
	}
	if rules.Own() != 2 {
		t.Errorf("own rules: got %d, want 2", rules.Own())
	}
	for _, tt := range []struct {
		line, site string
		class      queue.Class
		rule       string
	}{
		{"550 Ada is no longer with us", "mx.corp.example", queue.NoSuchUser, "corp-left"},
		{"450 Ada is no longer with us", "mx.corp.example", queue.Other, "450"},
		{"550 Ada is no longer with us", "mx.else.example", queue.Other, "5xx"},
		{"552 5.2.2 Mailbox full", "", queue.Policy, "full"}, // in place of the built-in one
		{"552 5.2.2 Quota exceeded", "", queue.MailboxFull, "full-code"},
		{"550 5.1.1 The user may not exist", "", queue.NoSuchUser, "gone-pair"}, // its veto is off
		{"550 5.1.1 User unknown", "", queue.NoSuchUser, "gone-plain"},
	} {
		if v := rules.Classify(bounce.Parse(tt.line), bounce.About{Site: tt.site}); v.Class != tt.class ||
			v.Rule != tt.rule {
			t.Errorf("%q: got %s by %s, want %s by %s", tt.line, v.Class, v.Rule, tt.class, tt.rule)
		}
	}
	if v := (bounce.Rules{}).Classify(bounce.Parse("552 5.2.2 Mailbox full"),
		bounce.About{}); v.Class != queue.MailboxFull {
		t.Errorf("the built-in rules: got %s, want them as they were", v.Class)
	}
}

// Nothing of an operator's file is believed unseen, and what is wrong is named.
func TestOverrideFaults(t *testing.T) {
	t.Parallel()
	rule := func(lines ...string) string {
		return "rule mine\n" + strings.Join(lines, "\n") + "\n"
	}
	const source, example = "source ticket 1, 2026-11", "example 550 Ada left"
	for name, tt := range map[string]struct{ text, want string }{
		"no class": {rule("says ada left", source, example), "line 1: rule mine has no class"},
		"unknown class": {rule("class gone", "says ada left", source, example),
			`line 2: rule mine: "gone" is no class: it is one of auth_rejected`},
		"unknown word": {rule("class policy", "say ada left", source, example),
			`line 3: rule mine: "say" is no word for a line`},
		"would decide everything": {rule("class policy", source, example),
			"line 1: rule mine has neither when nor says"},
		"no source": {rule("class policy", "says ada left", example),
			"line 1: rule mine: source says where the words are from"},
		"source without a date": {rule("class policy", "says ada left", "source ticket 1", example),
			"line 1: rule mine: source says"},
		"no example": {rule("class policy", "says ada left", source), "line 1: rule mine has no example"},
		"example of another rule": {rule("class policy", "says ada left", source, "example 550 Bob left"),
			"line 5: rule mine does not decide its example: 5xx does, as other"},
		"not left alone": {rule("class policy", "says ada left", source, example, "not 550 Ada left too"),
			"line 6: rule mine decides what it must leave alone"},
		"phrase never found": {rule("class policy", "says Ada left!", source, example),
			`line 1: rule mine: the phrase "Ada left!" is never found: write it as "ada left"`},
		"phrase too short": {rule("class policy", "says ad", source, example),
			`line 1: rule mine: the phrase "ad" is too short`},
		"bad when": {rule("class policy", "when 6xx", source, example),
			"line 1: rule mine: when 6xx: it is 4xx"},
		"unknown words": {rule("class policy", "says {nothing}", source, example),
			"line 1: rule mine: no words nothing stand before it"},
		"mark of another class": {rule("class policy", "mark until_it_repeats", "says ada left", source, example),
			"line 1: rule mine: mark until_it_repeats does not go with class policy"},
		"twice": {rule("class policy", "says ada left", source, example) + "\n" +
			rule("class policy", "says ada left", source, example), "line 7: mine stands in line 1 already"},
		"off of nothing":       {"off nothing\n", "line 1: off nothing: no built-in rule or veto has that name"},
		"no paragraph":         {"says ada left\n", "line 1: a paragraph begins with rule"},
		"line without a start": {"\n  ada left\n", "line 2: a line that begins with a space"},
		"bad name":             {"rule My Rule\n", `line 1: "My Rule" is no name`},
		"suppresses what is known to be else": {rule("class no_such_user", "says mailbox", source,
			"example 550 Mailbox broken"),
			"line 1: rule mine would suppress addresses for a reply that says something else"},
	} {
		_, err := bounce.Override(tt.text)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s…", name, err, tt.want)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rules.txt")
	if err := os.WriteFile(file, []byte(ownRule), 0o644); err != nil {
		t.Fatal(err)
	}
	if rules, err := bounce.Load(file); err != nil || rules.Own() != 1 {
		t.Errorf("got %d rules, %v, want 1", rules.Own(), err)
	}
	if rules, err := bounce.Load(""); err != nil || rules.Own() != 0 {
		t.Errorf("no file: got %d rules, %v, want none", rules.Own(), err)
	}
	if _, err := bounce.Load(file + "x"); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: got %v", err)
	}
	// What is printed as the built-in table is one that can be given as a file.
	if _, err := bounce.Override(bounce.BuiltIn()); err != nil {
		t.Errorf("the built-in rules as one's own: got %v", err)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	type part struct {
		Class        queue.Class
		Rule         string
		Words        []string
		Doubt, Spare string
		Doubts       []string
	}
	for _, tt := range []struct {
		line string
		want part
	}{
		{"550 5.1.1 Sorry: NO  SUCH\nUSER",
			part{queue.NoSuchUser, "gone-plain", []string{"NO  SUCH\nUSER"}, "", "", nil}},
		{"550 L'utilisateur Zoé n'existe pas",
			part{queue.NoSuchUser, "gone-french", []string{"n'existe pas"}, "", "", nil}},
		{"550 User unknown, try again later",
			part{queue.Other, "5xx", nil, "for-now", "gone-plain", []string{"try again later"}}},
		{"550 <b-1-fidq-abcdefgh@bounce.town.example>: User unknown",
			part{queue.Other, "5xx", nil, "names-ours", "gone-plain", nil}},
		{"421 4.4.5 No", part{queue.Throttled, "x.4.5", nil, "", "", nil}},
		{"550 5.7.1 blocked, see https://www.spamhaus.org/query",
			part{queue.SpamBlock, "blocklist", []string{"https://www.spamhaus.org/query"}, "", "", nil}},
	} {
		x := bounce.Rules{}.Explain(bounce.Parse(tt.line), bounce.About{})
		if diff := cmp.Diff(tt.want, part{x.Class, x.Rule, x.Words, x.Doubt, x.Spared, x.Doubts}); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.line, diff)
		}
		if v := (bounce.Rules{}).Classify(bounce.Parse(tt.line), bounce.About{}); v != x.Verdict {
			t.Errorf("%q: got %+v explained, and %+v unexplained", tt.line, x.Verdict, v)
		}
	}
}
