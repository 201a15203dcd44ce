package bounce_test

import (
	"testing"

	"enotify/queue"
	"enotify/sender/bounce"
)

// A mark changes how a reply is treated, and only a reply of its classes.
func TestMarks(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string]struct {
		action string
		change func(*queue.Treatment)
	}{
		"554 5.7.1 Message considered spam": {"fail",
			func(t *queue.Treatment) { t.Final, t.HoldsEgress = true, false }},
		"451 4.7.1 Message considered spam": {"retry",
			func(t *queue.Treatment) { t.Final, t.HoldsEgress = true, false }},
		"554 Blocked using zen.spamhaus.org":              {"hold_egress", func(*queue.Treatment) {}},
		"450 4.7.1 Greylisted, come back in five minutes": {"retry", func(t *queue.Treatment) { t.SlowsSite = false }},
		// ends the connection: about the site
		"421 4.7.1 Greylisted, come back in five minutes": {"slow_down", func(*queue.Treatment) {}},
		"421 4.7.0 Too many connections":                  {"slow_down", func(*queue.Treatment) {}},
	} {
		v := bounce.Classify(bounce.Parse(reply), "")
		treatment := v.Class.Treatment()
		want.change(&treatment)
		if v.Treatment != treatment || v.Action != want.action {
			t.Errorf("%q, %s by %s: got %s, %+v, want %s, %+v", reply, v.Class, v.Rule, v.Action, v.Treatment,
				want.action, treatment)
		}
		if v.Exception() != (queue.Treatment{}) == (v.Treatment == v.Class.Treatment()) {
			t.Errorf("%q: got exception %+v to the treatment of %s, which is %+v", reply, v.Exception(), v.Class,
				v.Class.Treatment())
		}
	}
}

// Only replies that name the sender count against a client: not those about the
// recipient's domain, our host or a login, nor a bare code.
func TestWhichRefusalsCountAgainstTheClient(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string]struct{ asksGuard, blocksClient bool }{
		"550 5.7.26 Neither SPF nor DKIM of example.com passed":                                 {true, true},
		"550 5.7.1 SPF: 192.0.2.1 may not send for example.com":                                 {true, true},
		"553 5.1.8 <news@example.com>: Sender address rejected: Domain not found":               {true, true},
		"554 5.7.1 <a@p72.test>: Relay access denied":                                           {false, false},
		"553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)":                 {false, false},
		"550 5.7.1 <a@x.test>... Relaying denied. IP name possibly forged [192.0.2.1]":          {false, false},
		"550 domain x.test is not hosted here":                                                  {false, false},
		"550 relay not permitted":                                                               {false, false},
		"450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]":        {true, false},
		"530 5.7.0 Authentication required":                                                     {true, false},
		"553 No":                                                                                {true, false},
		"550 5.7.1 Access denied":                                                               {true, false},
		"550 5.1.1 No such user":                                                                {false, false},
		"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org": {false, false},
	} {
		v := bounce.Classify(bounce.Parse(reply), "")
		if v.Treatment.AsksGuard != want.asksGuard || v.Treatment.BlocksClient != want.blocksClient {
			t.Errorf("%q, %s by %s: got %+v, want asks the guard: %v, counts against the client: %v", reply, v.Class,
				v.Rule, v.Treatment, want.asksGuard, want.blocksClient)
		}
	}
}

// Before MAIL a reply is about us: about no mailbox and no message.
func TestVerdictBeforeMail(t *testing.T) {
	t.Parallel()
	for reply, want := range map[string]string{
		"550 5.1.1 No such user here":           "other",
		"552 5.2.2 Mailbox full":                "other",
		"554 5.7.1 Message considered spam":     "spam_block hold_egress",
		"450 4.7.1 Greylisted, come back later": "throttled slow_down",
		"421 4.7.0 Too many connections":        "throttled slow_down",
	} {
		v := bounce.Classify(bounce.Parse(reply), "").BeforeMail()
		got := string(v.Class)
		if v.Class != queue.Other {
			got += " " + v.Action
		}
		if got != want || v.Treatment != v.Class.Treatment() {
			t.Errorf("%q before MAIL: got %s, %+v, want %s and the treatment of its class", reply, got, v.Treatment,
				want)
		}
	}
}

// Every class of replies has a rule.
func TestEveryClassHasARule(t *testing.T) {
	t.Parallel()
	said := map[queue.Class]bool{}
	for _, reply := range examples() {
		said[bounce.Classify(bounce.Parse(reply), "").Class] = true
	}
	for _, c := range queue.Classes() {
		if !said[c] && c != queue.NotBegun {
			t.Errorf("%s: no rule says it", c)
		}
	}
}
