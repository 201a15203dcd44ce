package spfguard_test

import (
	"net/netip"
	"testing"

	"enotify/spfguard"
)

func TestBuild(t *testing.T) {
	t.Parallel()
	net := func(texts ...string) (nets []netip.Prefix) {
		for _, s := range texts {
			p, err := spfguard.ParseNetwork(s)
			if err != nil {
				t.Fatal(err)
			}
			nets = append(nets, p)
		}
		return nets
	}
	for _, tt := range []struct {
		plan spfguard.Plan
		want string
	}{
		{spfguard.Plan{}, "v=spf1 ~all"},
		{spfguard.Plan{MX: true, A: true, Networks: net("38.106.5.33/32")}, "v=spf1 ip4:38.106.5.33 a mx ~all"},
		{spfguard.Plan{Networks: net("192.0.2.77/24", "192.0.2.0/24", "2001:db8::1", "::ffff:192.0.2.1"),
			All: spfguard.Fail},
			"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::1 ip4:192.0.2.1 -all"},
		{spfguard.Plan{Hosts: []string{"Mail.example.org."}, Includes: []string{"b\u00fccher.example"}, PTR: true,
			All: spfguard.Neutral},
			"v=spf1 a:Mail.example.org include:xn--bcher-kva.example ptr ?all"},
	} {
		got, err := spfguard.Build(tt.plan)
		if err != nil || got != tt.want {
			t.Errorf("got %q, %v, want %q", got, err, tt.want)
		}
		if _, err := spfguard.Parse(got); err != nil {
			t.Errorf("%q: %v", got, err)
		}
	}
	for _, plan := range []spfguard.Plan{
		{Hosts: []string{"mail"}}, {Hosts: []string{"192.0.2.1"}}, {Hosts: []string{""}},
		{Includes: []string{"a b.example"}},
		{Includes: []string{"x.example,y.example"}}, {All: spfguard.Pass}, {Networks: []netip.Prefix{{}}},
	} {
		if got, err := spfguard.Build(plan); err == nil {
			t.Errorf("%+v: got %q, want an error", plan, got)
		}
	}
	for _, s := range []string{"", "192.0.2", "192.0.2.0/33", "fe80::1%eth0", "host.example"} {
		if got, err := spfguard.ParseNetwork(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, got)
		}
	}
}
