package webhook

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"enotify/spfguard"
)

// A refusedAddr is an address that no connection is made to.
type refusedAddr struct{ text string }

func (r *refusedAddr) Error() string { return r.text }

// reach decides about the address of a connection, after the DNS: a name that leads
// into our own network reaches nothing there. Without encryption only allowed
// networks are spoken to.
func reach(ip netip.Addr, allowed []netip.Prefix, encrypted bool) error {
	ip = ip.Unmap().WithZone("")
	for _, network := range allowed {
		if network.Contains(ip) {
			return nil
		}
	}
	if why := spfguard.NotPublic(ip); why != "" {
		return &refusedAddr{fmt.Sprintf("%s is %s; if the receiver is there: run --allow-webhook %[1]s", ip, why)}
	}
	if !encrypted {
		return &refusedAddr{fmt.Sprintf("http to %s would not be encrypted: give an https URL; or allow it with run --allow-webhook %[1]s", ip)}
	}
	return nil
}

// client makes connections that [reach] allows. It follows no redirect, asks no
// proxy, and reads little.
func (r *Runner) client(encrypted bool) *http.Client {
	dialer := &net.Dialer{
		Timeout: r.Timeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			return reach(at.Addr(), r.Allow, encrypted)
		},
	}
	if r.Resolver != "" {
		dialer.Resolver = &net.Resolver{PreferGo: true,
			Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, r.Resolver)
			}}
	}
	return &http.Client{
		Timeout: r.Timeout,
		Transport: &http.Transport{
			DialContext:     dialer.DialContext,
			TLSClientConfig: &tls.Config{RootCAs: r.Roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
