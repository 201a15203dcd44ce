package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/term"
	"enotify/queue/insight"
)

func TestLayFailures(t *testing.T) {
	t.Parallel()
	r := batchDetails{Failures: []insight.Failure{
		{State: "bounced", Class: "no_such_user", Domain: "a.test", Code: 550, N: 1200,
			Reply: "550 5.1.1\nno such user", Alike: 1500, Domains: 3},
		{State: "bounced", Class: "no_such_user", Domain: "a.test", Code: 551, N: 200, Reply: "551 moved", Alike: 1500,
			Domains: 3},
		{State: "deferred", Class: "no_such_user", Domain: "b.test", Code: 450, N: 1, Reply: "450 who?", Alike: 1,
			Domains: 1},
		{State: "invalid", N: 2, Reply: "no @", Alike: 2, Domains: 1},
	}}
	const want = `
bounced, no_such_user: 1,500 recipients
RECIPIENTS  DOMAIN  ONE OF THE REPLIES
     1,200  a.test  550 5.1.1 no such user
       200  a.test  551 moved
and 2 more domains

deferred, no_such_user: 1 recipient
RECIPIENTS  DOMAIN  ONE OF THE REPLIES
         1  b.test  450 who?

invalid: 2 recipients
RECIPIENTS  DOMAIN  ONE OF THE REPLIES
         2  -       no @
`
	var got strings.Builder
	p := term.NewPage(&got, false, time.Now())
	r.layFailures(p)
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
