package mtasts_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"enotify/sender/mtasts"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns"
	"enotify/spfguard/dns/dnstest"
)

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{ // the policy, or part of the error
		"version: STSv1\nmode: enforce\nmx: MX.a.test\nmx: *.b.test\nmax_age: 86400\n":         "enforce [mx.a.test *.b.test] 24h0m0s",
		"version:STSv1\r\nmode:testing\r\nmx:a.test\r\nmax_age:60\r\n":                         "testing [a.test] 1m0s",
		"version: STSv1\nmode: none\nmax_age: 60":                                              "none [] 1m0s",
		"version: STSv1\nmode: enforce\nmode: none\nmx: a.test\nmax_age: 4000000000\nnew: x\n": "enforce [a.test] 8766h0m0s",
		"mode: enforce\nmx: a.test\nmax_age: 60":                                               "no version",
		"version: STSv2\nmode: enforce\nmx: a.test\nmax_age: 60":                               "STSv2",
		"version: STSv1\nmode: always\nmx: a.test\nmax_age: 60":                                "none of enforce",
		"version: STSv1\nmode: enforce\nmax_age: 60":                                           "no mail host",
		"version: STSv1\nmode: enforce\nmx: a.test":                                            "no max_age",
		"version: STSv1\nmode: enforce\nmx: a.test\nmax_age: -1":                               "no number",
		"<html>": "no colon",
	} {
		p, err := mtasts.ParsePolicy(text)
		got := fmt.Sprint(p.Mode, " ", p.MX, " ", p.MaxAge)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	p := mtasts.Policy{MX: []string{"mx.a.test", "*.b.test"}}
	for host, want := range map[string]bool{
		"mx.a.test": true, "MX.A.test.": true, "mx2.a.test": false, "x.b.test": true, "b.test": false,
		"x.y.b.test": false, "test": false,
	} {
		if got := p.Matches(host); got != want {
			t.Errorf("%s: got %v, want %v", host, got, want)
		}
	}
}

// memory is a store that the test can look into.
type memory map[string]mtasts.Kept

func (m memory) Kept(context.Context) (all []mtasts.Kept, err error) {
	for _, k := range m {
		all = append(all, k)
	}
	return all, nil
}

func (m memory) Keep(_ context.Context, k mtasts.Kept) error {
	m[k.Domain] = k
	return nil
}

const zone = `
_mta-sts.a.test. TXT "v=STSv1; id=1;"
mta-sts.a.test.  A   127.0.0.1
`

func text(mode string) string {
	return "version: STSv1\nmode: " + mode + "\nmx: mx.a.test\nmax_age: 86400\n"
}

// A world is a policy host of a.test that says what handle says.
func world(t *testing.T, ca *smtptest.Authority, names []string, handle http.HandlerFunc) (mtasts.Fetcher,
	*dnstest.Server) {
	t.Helper()
	server := httptest.NewUnstartedServer(handle)
	config, err := ca.Issue(time.Now().Add(time.Hour), names...)
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = config
	server.StartTLS()
	t.Cleanup(server.Close)
	zone := dnstest.New(t, zone)
	return mtasts.Fetcher{Resolver: &dns.Resolver{Server: zone.Addr}, RootCAs: ca.Pool(),
		Port: server.Listener.Addr().(*net.TCPAddr).Port}, zone
}

func authority(t *testing.T) *smtptest.Authority {
	t.Helper()
	ca, err := smtptest.NewAuthority("Test Authority")
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func plain(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, body)
	}
}

// What a policy host may say and what it may not.
func TestFetch(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		names  []string
		handle http.HandlerFunc
		barred string
		kind   string // of the error
		says   string
	}{
		"fine": {handle: plain(text("enforce"))},
		"another name": {names: []string{"a.test"}, handle: plain(text("enforce")), kind: mtasts.CertInvalid,
			says: "not mta-sts.a.test"},
		"no policy": {handle: http.NotFound, kind: mtasts.FetchFailed, says: "404"},
		"a redirection": {handle: http.RedirectHandler("/other", http.StatusFound).ServeHTTP, kind: mtasts.FetchFailed,
			says: "302"},
		"HTML": {handle: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
			kind: mtasts.FetchFailed, says: "text/html"},
		"too large": {handle: plain(text("enforce") + strings.Repeat("x: y\n", 20000)), kind: mtasts.FetchFailed,
			says: "65536"},
		"nonsense": {handle: plain("hello"), kind: mtasts.PolicyInvalid, says: "no colon"},
		"in our network": {handle: plain(text("enforce")), barred: "a loopback address", kind: mtasts.FetchFailed,
			says: "a loopback address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			names := test.names
			if names == nil {
				names = []string{"mta-sts.a.test"}
			}
			fetcher, _ := world(t, authority(t), names, test.handle)
			fetcher.Barred = func(netip.Addr) string { return test.barred }
			p := &mtasts.Policies{Fetcher: fetcher, Patience: time.Minute}
			k, err := p.Of(t.Context(), "a.test")
			if test.kind == "" {
				if err != nil || k.Policy.Mode != mtasts.Enforce || k.ID != "1" {
					t.Errorf("got %+v, %v, want the policy", k, err)
				}
				return
			}
			var wrong *mtasts.FetchError
			if !errors.As(err, &wrong) || wrong.Type != test.kind || !strings.Contains(err.Error(), test.says) ||
				k.Policy.Mode != "" {
				t.Errorf("got %+v, %v, want no policy and an error of the type %s with %q", k, err, test.kind,
					test.says)
			}
		})
	}
}

// A policy that was fetched holds on in another process, whatever is done to the
// record and the policy host, until its time is over.
func TestSuppressedPolicyHolds(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	fetcher, zone := world(t, authority(t), []string{"mta-sts.a.test"}, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			http.NotFound(w, r)
			return
		}
		plain(text("enforce"))(w, r)
	})
	store := memory{}
	mode := func(what string, want mtasts.Mode) {
		t.Helper()
		again := fetcher
		again.Resolver = &dns.Resolver{Server: zone.Addr}
		p := &mtasts.Policies{Fetcher: again, Store: store, Patience: time.Minute}
		if k, _ := p.Of(t.Context(), "a.test"); k.Policy.Mode != want {
			t.Errorf("%s: got mode %q, want %q", what, k.Policy.Mode, want)
		}
	}
	mode("fetched", mtasts.Enforce)
	zone.PutTXT("_mta-sts.a.test", "v=STSv1; id=2;")
	mode("a new id, and the host fails", mtasts.Enforce)
	zone.Delete("_mta-sts.a.test")
	mode("the record is gone", mtasts.Enforce)
	zone.Fail("_mta-sts.a.test", dnstest.ServFail)
	mode("the DNS fails", mtasts.Enforce)
	if n := asked.Load(); n != 2 {
		t.Errorf("fetches: got %d, want 2: one for each id", n)
	}
	k := store["a.test"]
	k.FetchedAt = time.Now().Add(-25 * time.Hour)
	store["a.test"] = k
	mode("its time is over", "")
}

// A new id brings the new policy, and mode none ends the old one.
func TestPolicyChanges(t *testing.T) {
	t.Parallel()
	var said atomic.Pointer[string]
	first, second := text("enforce"), text("none")
	said.Store(&first)
	fetcher, zone := world(t, authority(t), []string{"mta-sts.a.test"},
		func(w http.ResponseWriter, r *http.Request) { plain(*said.Load())(w, r) })
	store := memory{}
	for _, want := range []mtasts.Mode{mtasts.Enforce, mtasts.None} {
		fetcher.Resolver = &dns.Resolver{Server: zone.Addr}
		p := &mtasts.Policies{Fetcher: fetcher, Store: store, Patience: time.Minute}
		if k, err := p.Of(t.Context(), "a.test"); err != nil || k.Policy.Mode != want {
			t.Errorf("got %+v, %v, want mode %s", k, err, want)
		}
		said.Store(&second)
		zone.PutTXT("_mta-sts.a.test", "v=STSv1; id=2;")
	}
}

// Policy hosts that take a connection and say nothing hold neither their own domains'
// mail nor another's for longer than Patience, and have so many connections at most.
func TestSilentPolicyHosts(t *testing.T) {
	t.Parallel()
	const silent = 400
	fetcher, records := world(t, authority(t), []string{"mta-sts.a.test"}, plain(text("enforce")))
	host, err := net.Listen("tcp", net.JoinHostPort("127.0.0.2", strconv.Itoa(fetcher.Port)))
	if err != nil {
		t.Fatal(err)
	}
	var taken atomic.Int32
	go func() {
		for c, err := host.Accept(); err == nil; c, err = host.Accept() {
			taken.Add(1)
			t.Cleanup(func() { c.Close() })
		}
	}()
	t.Cleanup(func() { host.Close() })
	for i := range silent {
		records.Put(fmt.Sprintf("_mta-sts.s%d.test. TXT \"v=STSv1; id=1;\"\nmta-sts.s%d.test. A 127.0.0.2\n", i, i))
	}
	p := &mtasts.Policies{Fetcher: fetcher, Patience: 500 * time.Millisecond}
	var all sync.WaitGroup
	began := time.Now()
	for i := range silent {
		all.Go(func() {
			if k, _ := p.Of(t.Context(), fmt.Sprintf("s%d.test", i)); k.Policy.Mode != "" {
				t.Errorf("s%d.test: got mode %s, want none", i, k.Policy.Mode)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("%d domains: got %v, want about the patience", silent, took)
	}
	if n := taken.Load(); n > 256 {
		t.Errorf("connections to hosts that say nothing: got %d, want at most 256", n)
	}
}

// Records are asked for ahead without waiting, for so many domains at once, and only where
// nothing is known; a policy is not fetched.
func TestRecordsAreAskedForAhead(t *testing.T) {
	t.Parallel()
	fetched := make(chan string, 1)
	fetcher, records := world(t, authority(t), []string{"mta-sts.a.test"}, func(rw http.ResponseWriter, r *http.Request) {
		fetched <- r.Host
		plain(text("enforce"))(rw, r)
	})
	p := &mtasts.Policies{Fetcher: fetcher}
	p.Ahead(t.Context(), "a.test")
	if err := records.Await(t.Context(), "_mta-sts.a.test", "TXT", 1); err != nil {
		t.Fatal(err)
	}
	if len(fetched) > 0 {
		t.Error("the policy was fetched ahead")
	}
	if k, err := p.Of(t.Context(), "a.test"); k.Policy.Mode != mtasts.Enforce || err != nil {
		t.Errorf("a.test: got mode %q and %v, want enforce", k.Policy.Mode, err)
	}
	p.Ahead(t.Context(), "a.test")
	if got := records.Queries("_mta-sts.a.test", "TXT"); got != 1 {
		t.Errorf("questions for the record of a.test: got %d, want 1", got)
	}
	const silent = 300
	p = &mtasts.Policies{Fetcher: fetcher} // with nothing under way
	for i := range silent {
		records.Fail(fmt.Sprintf("_mta-sts.s%d.test", i), dnstest.Timeout)
	}
	for i := range silent {
		p.Ahead(t.Context(), fmt.Sprintf("s%d.test", i))
	}
	for i := range 128 {
		if err := records.Await(t.Context(), fmt.Sprintf("_mta-sts.s%d.test", i), "TXT", 1); err != nil {
			t.Fatal(err)
		}
	}
	for i := 128; i < silent; i++ {
		if got := records.Queries(fmt.Sprintf("_mta-sts.s%d.test", i), "TXT"); got > 0 {
			t.Errorf("s%d.test: got %d questions beside 128 others, want none", i, got)
		}
	}
}
