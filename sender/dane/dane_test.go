package dane_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	"enotify/sender/dane"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns"
)

// chain is the chain that a host presents.
func chain(t testing.TB, a *smtptest.Authority, ends time.Duration, names ...string) []*x509.Certificate {
	t.Helper()
	config, err := a.Issue(time.Now().Add(ends), names...)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return []*x509.Certificate{leaf, a.Certificate}
}

func authority(t testing.TB) *smtptest.Authority {
	t.Helper()
	a, err := smtptest.NewAuthority("Test Authority")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// association is the data of a record for a certificate.
func association(c *x509.Certificate, selector, matching uint8) []byte {
	data := c.Raw
	if selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		sum := sha256.Sum256(data)
		return sum[:]
	case 2:
		sum := sha512.Sum512(data)
		return sum[:]
	}
	return data
}

// Every value of usage, selector and matching type: whether a record is usable, and
// whether it accepts the certificate that it is for, and no other.
func TestEveryKindOfRecord(t *testing.T) {
	t.Parallel()
	mine, other := authority(t), authority(t)
	good, bad := chain(t, mine, time.Hour, "mx.a.test"), chain(t, other, time.Hour, "mx.a.test")
	names := []string{"mx.a.test", "a.test"}
	for usage := range uint8(5) {
		for selector := range uint8(3) {
			for matching := range uint8(4) {
				of := good[0]
				if usage == 2 {
					of = good[1]
				}
				r := dns.TLSA{Usage: usage, Selector: selector, Matching: matching,
					Data: association(of, selector, matching)}
				name := fmt.Sprintf("%d %d %d", usage, selector, matching)
				want := (usage == 2 || usage == 3) && selector < 2 && matching < 3
				usable := dane.Usable([]dns.TLSA{r})
				if got := len(usable) == 1; got != want {
					t.Errorf("%s usable: got %v, want %v", name, got, want)
				}
				if !want {
					continue
				}
				if err := dane.Verify(usable, good, names, time.Now()); err != nil {
					t.Errorf("%s: got %v, want the certificate accepted", name, err)
				}
				if err := dane.Verify(usable, bad, names, time.Now()); err == nil {
					t.Errorf("%s: another certificate was accepted", name)
				}
				for _, broken := range [][]byte{nil, r.Data[:len(r.Data)-1], append(append([]byte{}, r.Data...), 0)} {
					r.Data = broken
					if got := dane.Usable([]dns.TLSA{r}); len(got) != 0 {
						t.Errorf("%s with %d octets of data: got usable, want not", name, len(broken))
					}
				}
			}
		}
	}
}

// What counts beside the match: names and dates where a record names an authority,
// and neither where it names the host's certificate.
func TestNamesAndDates(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	record := func(usage uint8, of *x509.Certificate) []dns.TLSA {
		return []dns.TLSA{{Usage: usage, Selector: 1, Matching: 1, Data: association(of, 1, 1)}}
	}
	for _, test := range []struct {
		name  string
		ends  time.Duration
		names string
		usage uint8
		want  bool
	}{
		{"the host's name", time.Hour, "mx.a.test", 2, true},
		{"the domain's name", time.Hour, "a.test", 2, true},
		{"another name", time.Hour, "mx.b.test", 2, false},
		{"out of date", -time.Hour, "mx.a.test", 2, false},
		{"another name, the host's own", time.Hour, "mx.b.test", 3, true},
		{"out of date, the host's own", -time.Hour, "mx.a.test", 3, true},
	} {
		c := chain(t, ca, test.ends, test.names)
		of := c[0]
		if test.usage == 2 {
			of = c[1]
		}
		if err := dane.Verify(record(test.usage, of), c, []string{"mx.a.test", "a.test"},
			time.Now()); (err == nil) != test.want {
			t.Errorf("%s: got %v, want accepted %v", test.name, err, test.want)
		}
	}
	c := chain(t, ca, time.Hour, "mx.a.test")
	if err := dane.Verify(record(2, c[1]), c[:1], []string{"mx.a.test"}, time.Now()); !errors.Is(err, dane.ErrNoMatch) {
		t.Errorf("an authority that the host left out, known by its hash alone: got %v, want %v", err, dane.ErrNoMatch)
	}
	whole := []dns.TLSA{{Usage: 2, Data: c[1].Raw}}
	if err := dane.Verify(whole, c[:1], []string{"mx.a.test"}, time.Now()); err != nil {
		t.Errorf("an authority that the record holds: got %v, want the certificate accepted", err)
	}
	if err := dane.Verify(record(3, c[0]), nil, nil, time.Now()); !errors.Is(err, dane.ErrNoMatch) {
		t.Errorf("no certificate: got %v, want %v", err, dane.ErrNoMatch)
	}
}

// Of two strengths of one digest, the weaker one does not count (RFC 7671 §9).
func TestTheStrongerDigestCounts(t *testing.T) {
	t.Parallel()
	c := chain(t, authority(t), time.Hour, "mx.a.test")[0]
	weak := dns.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: association(c, 1, 1)}
	strong := dns.TLSA{Usage: 3, Selector: 1, Matching: 2, Data: make([]byte, 64)}
	elsewhere := dns.TLSA{Usage: 3, Selector: 0, Matching: 2, Data: make([]byte, 64)}
	for _, test := range []struct {
		records []dns.TLSA
		want    bool
	}{
		{[]dns.TLSA{weak, strong}, false},
		{[]dns.TLSA{weak, elsewhere}, true},
	} {
		usable := dane.Usable(test.records)
		if err := dane.Verify(usable, []*x509.Certificate{c}, nil, time.Now()); (err == nil) != test.want {
			t.Errorf("%d usable: got %v, want accepted %v", len(usable), err, test.want)
		}
	}
}

// No record makes Verify accept a certificate that it is not for, or fall over.
func FuzzRecords(f *testing.F) {
	ca := authority(f)
	c := chain(f, ca, time.Hour, "mx.a.test")
	f.Add(uint8(3), uint8(1), uint8(1), association(c[0], 1, 1))
	f.Add(uint8(2), uint8(0), uint8(0), c[1].Raw)
	f.Add(uint8(3), uint8(0), uint8(0), []byte{0x30, 0x80})
	f.Add(uint8(1), uint8(0), uint8(2), make([]byte, 64))
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, data []byte) {
		usable := dane.Usable([]dns.TLSA{{Usage: usage, Selector: selector, Matching: matching, Data: data}})
		if len(usable) == 0 {
			return
		}
		err := dane.Verify(usable, c, []string{"mx.a.test"}, time.Now())
		for _, of := range c {
			if string(data) == string(association(of, selector, matching)) {
				return
			}
		}
		if err == nil {
			t.Errorf("%d %d %d %x: accepted, want refused", usage, selector, matching, data)
		}
	})
}
