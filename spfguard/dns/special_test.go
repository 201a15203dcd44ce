package dns_test

import (
	"net/netip"
	"strings"
	"testing"

	"enotify/spfguard/dns"
)

func TestNotPublic(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{ // part of the reason
		"192.0.2.1": "", "8.8.8.8": "", "2001:4860::1": "", "172.32.0.1": "", "::ffff:8.8.8.8": "",
		"64:ff9b::808:808": "", "2002:808:808::1": "",
		"127.0.0.1": "loopback", "127.9.9.9": "loopback", "::1": "loopback", "::ffff:127.0.0.1": "loopback",
		"64:ff9b::7f00:1": "loopback", "2002:7f00:1::": "loopback", "::127.0.0.1": "loopback",
		"0.0.0.0": "unspecified", "::": "unspecified", "0.1.2.3": "no host",
		"10.1.2.3": "1918", "172.16.0.1": "1918", "172.31.255.255": "1918", "192.168.1.1": "1918", "fd00::1": "4193",
		"64:ff9b::a01:203": "1918", "64:ff9b:1::808:808": "8215", "64:ff9b:1:7f00:1::": "8215",
		"::ffff:0:127.0.0.1": "loopback", "::ffff:0:8.8.8.8": "",
		"169.254.169.254": "link-local", "fe80::1": "link-local", "fe80::1%eth0": "link-local",
		"224.0.0.1": "multicast", "239.1.1.1": "multicast", "ff02::1": "multicast",
		"100.64.0.1": "6598", "255.255.255.255": "class E", "fec0::1": "site-local",
	} {
		got := dns.NotPublic(netip.MustParseAddr(addr))
		if !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: got %q, want %q", addr, got, want)
		}
	}
	if got := dns.NotPublic(netip.Addr{}); got == "" {
		t.Error("the zero address is public, want it not")
	}
}
