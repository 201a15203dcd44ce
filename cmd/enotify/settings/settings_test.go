package settings_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/settings"
)

func TestPublicURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "https://news.host.example": "https://news.host.example",
		"https://host.example/m/":  "https://host.example/m",
		"http://news.host.example": "error", "news.host.example": "error", "https://a@b": "error",
		"https://a/?q": "error", "https://a/#x": "error", "https://a,b": "error",
	} {
		got, err := settings.PublicURL(in)
		if bad := want == "error"; bad != (err != nil) || !bad && got != want || bad && exit.Code(err) != exit.Usage {
			t.Errorf("%q: got %q and %v, want %s", in, got, err, want)
		}
	}
}

func TestDomain(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": "", "Bounce.Host.example.": "bounce.host.example", "host": "error",
		"a b.example": "error", "b@host.example": "error"} {
		got, err := settings.Domain("--bounce-domain", in)
		if bad := want == "error"; bad != (err != nil) || !bad && got != want || bad && exit.Code(err) != exit.Usage {
			t.Errorf("%q: got %q and %v, want %s", in, got, err, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	got, err := settings.Addresses("--egress", []string{" 192.0.2.10", "::ffff:192.0.2.11", "2001:db8::1"})
	want := []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.11"),
		netip.MustParseAddr("2001:db8::1")}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); err != nil ||
		diff != "" {
		t.Errorf("got %v, (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{"", "192.0.2.0/24", "host.example", "fe80::1%eth0"} {
		if _, err := settings.Addresses("--egress", []string{bad}); exit.Code(err) != exit.Usage {
			t.Errorf("%q: got %v, want an error of usage", bad, err)
		}
	}
}
