package main_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"enotify/cmd/enotify/sitetest"
	"enotify/queue/queuetest"
	"enotify/sender/smtptest"
	"enotify/spfguard/dns/dnstest"
)

// Neighbours are recipient domains that do not move, each a site with an address of its
// own, by the kind of site.
type neighbours struct {
	hole, tarpit, slow, refusing int
	rude                         int // that break off, refuse or talk without end, see rude
}

func (n neighbours) all() int { return n.hole + n.tarpit + n.slow + n.refusing + n.rude }

// rude is what rude hosts say, by the number of the connection.
func rude(c smtptest.Command) string {
	switch how := c.Conn % 6; {
	case how == 0 && c.Verb == "CONNECT", how == 1 && c.Verb == "MAIL":
		return smtptest.Drop
	case how == 2 && c.Verb == "RCPT":
		return "451 4.3.0 Not now"
	case how == 3 && c.Verb == "CONNECT":
		return "421 4.3.2 Not now"
	case how == 4 && c.Verb == "EHLO":
		return "250" + strings.Repeat("-X\n250", 20_000) + " X"
	case how == 5 && c.Verb == "DATA":
		return "250 what?"
	}
	return ""
}

// BenchmarkNeighbours says what receivers that do not move cost the others: the time of
// 20,000 messages to 1,000 healthy domains in one batch with 20 recipients at each of
// the others, as a share of the speed alone, measured right before; how long 100 urgent
// messages take that are submitted while such sites have the turn; and how much memory a
// node takes with large attachments.
//
//	go test ./cmd/enotify -run '^$' -bench Neighbours -benchtime 1x
func BenchmarkNeighbours(b *testing.B) {
	for _, bench := range []struct {
		name   string
		beside neighbours
	}{
		{"600 black holes", neighbours{hole: 600}},
		{"300 tarpits", neighbours{tarpit: 300}},
		{"200 each", neighbours{hole: 200, tarpit: 200, slow: 200, refusing: 200}},
		{"300 rude", neighbours{rude: 300}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				alone := newNeighbourhood(b, neighbours{}).healthy()
				n := newNeighbourhood(b, bench.beside)
				beside := n.healthy()
				b.ReportMetric(alone.Seconds(), "alone-s")
				b.ReportMetric(beside.Seconds(), "beside-s")
				b.ReportMetric(alone.Seconds()/beside.Seconds(), "of-alone")
				n.report(b)
				b.StartTimer()
			}
		})
	}
	b.Run("urgent behind 300 tarpits", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			n := newNeighbourhood(b, neighbours{tarpit: 300})
			b.ReportMetric(n.urgent().Seconds(), "urgent-s")
			n.report(b)
			b.StartTimer()
		}
	})
	b.Run("behind 300,000 at a black hole", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			n := newNeighbourhood(b, neighbours{hole: 1})
			first, last := n.behind()
			b.ReportMetric(first.Seconds(), "next-begins-s")
			b.ReportMetric(last.Seconds(), "next-ends-s")
			n.report(b)
			b.StartTimer()
		}
	})
	for _, size := range []int{1, 14} {
		b.Run(fmt.Sprintf("%d MB attached", size), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				n := newNeighbourhood(b, neighbours{})
				n.attached(size << 20)
				n.report(b)
				b.StartTimer()
			}
		})
	}
}

// BenchmarkSilentAfterTheDot reports the memory of a node that has a message of each of 60
// batches, with 14 MB attached, at a host that does not answer the end of it.
func BenchmarkSilentAfterTheDot(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		n := newNeighbourhood(b, neighbours{})
		n.silent(60, 14<<20)
		n.report(b)
		b.StartTimer()
	}
}

// A neighbourhood is a site with neighbours, and the node in it.
type neighbourhood struct {
	*site
	beside neighbours
	node   *exec.Cmd
}

func newNeighbourhood(b *testing.B, beside neighbours) *neighbourhood {
	b.Helper()
	n := &neighbourhood{beside: beside,
		site: &site{sitetest.On(b, queuetest.Durable(b), smtptest.Config{Discard: true})}}
	_, port, _ := net.SplitHostPort(n.SMTP.Addr)
	zone := "town.example. TXT \"v=spf1 ip4:192.0.2.10 -all\"\n*.alone. A 127.0.0.1\n*.far. A 127.0.0.2\n" +
		"*.tarpit. A 127.0.0.3\n*.slow. A 127.0.0.4\n*.rude. A 127.0.0.5\n"
	for host, delay := range map[string]time.Duration{"127.0.0.2": 300 * time.Millisecond,
		"127.0.0.3": 30 * time.Second, "127.0.0.4": 5 * time.Second} {
		s, err := smtptest.Start(smtptest.Config{Addr: net.JoinHostPort(host, port), Discard: true,
			Reply: func(smtptest.Command) string { time.Sleep(delay); return "" }})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { go s.Close() }) // which waits for the replies of a tarpit
	}
	s, err := smtptest.Start(smtptest.Config{Addr: net.JoinHostPort("127.0.0.5", port), Discard: true, Reply: rude})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	at, _ := strconv.Atoi(port)
	for i := range beside.hole {
		ip := fmt.Sprintf("127.9.%d.%d", i/250, i%250+1)
		blackHole(b, ip, at)
		zone += fmt.Sprintf("d%d.hole. A %s\n", i, ip)
	}
	for i := range beside.refusing {
		zone += fmt.Sprintf("d%d.refusing. A 127.10.%d.%d\n", i, i/250, i%250+1)
	}
	n.DNS = dnstest.New(b, zone)
	return n
}

// blackHole has an address answer no connection: its queue is full, so that the system
// drops what comes.
func blackHole(b testing.TB, ip string, port int) {
	b.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { syscall.Close(fd) })
	at := &syscall.SockaddrInet4{Port: port, Addr: [4]byte(net.ParseIP(ip).To4())}
	if err := syscall.Bind(fd, at); err != nil {
		b.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		b.Fatal(err)
	}
	c, err := net.Dial("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
}

// recipients are the addresses of the neighbours, in SQL.
func (n *neighbourhood) recipients() string {
	list := `SELECT NULL::text WHERE false`
	for kind, domains := range map[string]int{"hole": n.beside.hole, "tarpit": n.beside.tarpit,
		"slow": n.beside.slow, "refusing": n.beside.refusing, "rude": n.beside.rude} {
		list += fmt.Sprintf(` UNION ALL SELECT format('u%%s@d%%s.%s', i, d) FROM generate_series(1, 20) i,
			generate_series(0, %d) d`, kind, domains-1)
	}
	return list
}

// healthy is how long the healthy ones of a batch take, from the first to the last.
func (n *neighbourhood) healthy() time.Duration {
	n.Helper()
	const messages = 20_000
	n.Exec(`SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.', ARRAY(
		SELECT format('u%s@d%s.alone', i, i % 1000) FROM generate_series(1, 20000) i
		UNION ALL (` + n.recipients() + `)))`)
	n.node = n.Start("run")
	n.delivered(1)
	began := time.Now()
	n.delivered(messages)
	return time.Since(began)
}

// urgent is how long a hundred urgent messages take from their submit to the last, while
// messages to all neighbours are under way.
func (n *neighbourhood) urgent() time.Duration {
	n.Helper()
	n.Exec(`SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.', ARRAY(` + n.recipients() + `))`)
	n.node = n.Start("run")
	n.Until(`SELECT count(*) >= $1 FROM enotify.batch_domain WHERE intent_seq >= first_seq`, n.beside.all())
	began := time.Now()
	n.Exec(`SELECT enotify.enqueue('alarm', 'info@town.example', 'Alarm', 'Boil water.',
		ARRAY(SELECT format('u@d%s.alone', i) FROM generate_series(1, 100) i), priority => 100)`)
	n.delivered(100)
	return time.Since(began)
}

// behind is how long the first and the last of a hundred ordinary messages of another
// batch take, from its submit, behind 300,000 to a domain that cannot be reached.
func (n *neighbourhood) behind() (first, last time.Duration) {
	n.Helper()
	n.Exec(`SELECT enotify.enqueue('menu', 'info@town.example', 'Lunch menu', 'Soup.',
		ARRAY(SELECT format('u%s@d0.hole', i) FROM generate_series(1, 300000) i))`)
	n.node = n.Start("run")
	n.Until(`SELECT EXISTS (SELECT FROM enotify.batch_domain WHERE intent_seq >= first_seq)`)
	began := time.Now()
	n.Exec(`SELECT enotify.enqueue('next', 'info@town.example', 'Minutes', 'Of the meeting.',
		ARRAY(SELECT format('u@d%s.alone', i) FROM generate_series(1, 100) i))`)
	n.delivered(1)
	first = time.Since(began)
	n.delivered(100)
	return first, time.Since(began)
}

// attached sends an attachment to 3,000 domains that answer after 300 ms, until the
// node has written as much as 3,000 messages of 1 MB.
func (n *neighbourhood) attached(octets int) {
	n.Helper()
	text, file := filepath.Join(n.Home, "text"), filepath.Join(n.Home, "plan.pdf")
	list := filepath.Join(n.Home, "list.csv")
	rows := "address\n"
	for i := range 3000 {
		rows += fmt.Sprintf("u@d%d.far\n", i)
	}
	for name, content := range map[string]string{text: "The plan.\n", file: strings.Repeat("0123456789abcdef", octets/16),
		list: rows} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			n.Fatal(err)
		}
	}
	n.Run("batch", "create", "--from", "info@town.example", "--subject", "Plan", "--text", text, "--attach", file,
		"--recipients", list, "--submit")
	n.node = n.Start("run")
	most := max(300, 3000/(octets>>20))
	n.Until(`SELECT count(*) >= $1 FROM enotify.outcome WHERE state = 'delivered'`, most)
}

// silent has a message of each of several batches, with an attachment, lie at a host that
// does not answer its end.
func (n *neighbourhood) silent(batches, octets int) {
	n.Helper()
	_, port, _ := net.SplitHostPort(n.SMTP.Addr)
	ended := make(chan struct{}, batches)
	s, err := smtptest.Start(smtptest.Config{Addr: net.JoinHostPort("127.0.0.6", port), Discard: true,
		Reply: func(c smtptest.Command) string {
			if c.Verb == "." {
				ended <- struct{}{}
				select {}
			}
			return ""
		}})
	if err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() { go s.Close() })
	n.DNS = dnstest.New(n, "town.example. TXT \"v=spf1 ip4:192.0.2.10 -all\"\n*.silent. A 127.0.0.6\n")
	for i := range batches {
		key := fmt.Sprint("plan", i)
		n.Exec(`SELECT enotify.create_batch($1, 'info@town.example', 'Plan', 'The plan.')`, key)
		n.Exec(`SELECT enotify.add_attachment(id, 'plan.pdf', convert_to(repeat('0123456789abcdef', $1), 'UTF8'))
			FROM enotify.batch WHERE idem_key = $2`, octets/16, key)
		n.Exec(`SELECT enotify.add_recipients(id, ARRAY[format('u@d%s.silent', $1::int)]), enotify.submit_batch(id)
			FROM enotify.batch WHERE idem_key = $2`, i, key)
	}
	n.node = n.Start("run")
	for i := range batches {
		select {
		case <-ended:
		case <-time.After(time.Minute):
			n.Fatalf("messages that left within a minute of the one before: got %d, want %d", i, batches)
		}
	}
}

// delivered waits until the healthy receiver has n messages.
func (n *neighbourhood) delivered(messages int) {
	n.Helper()
	for n.SMTP.Delivered() < messages {
		time.Sleep(time.Millisecond)
	}
}

// report reports the memory that the node took at most, and its descriptors.
func (n *neighbourhood) report(b *testing.B) {
	b.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(n.node.Process.Pid))
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		b.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, err := strconv.Atoi(strings.Fields(peak)[0])
	if err != nil {
		b.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(kilobytes)/1024, "MB-peak")
	b.ReportMetric(float64(len(files)), "descriptors")
}
