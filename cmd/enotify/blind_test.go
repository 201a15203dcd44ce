package main_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	enotify "enotify/cmd/enotify"
	"enotify/queue/queuetest"
	"enotify/spfguard/dns/dnstest"
)

// reads are the command lines that read the database, for a database that has
// batch 1 of town.example, which was cancelled.
var reads = []string{
	"batch list", "batch list --all", "batch show 1", "batch show 99", "batch show 1 --message 1", "batch watch 1",
	"batch watch",
	"batch audit", "batch audit 1", "batch audit 99", "batch doubt --all --yes",
	"batch prune --older-than 90d --dry-run",
	"preflight 1 --egress 192.0.2.10 --helo mail.host.example", "preflight 1 --last",
	"client list", "client show town.example", "client show nowhere.example",
	"client zone town.example --egress 192.0.2.10", "client check town.example",
	"destination list", "destination show gmail.com", "suppression list", "suppression explain ada@example.org",
	"bounce report", "bounce report --batch 1", "bounce report --batch 99", "bounce key list", "node list", "health",
	"spf check town.example",
	"event list", "event show", "webhook list", "webhook show 1", "retention list", "token list",
	"egress list", "egress show 192.0.2.10",
}

// asks are the verbs that ask: each must be among reads.
var asks = []string{"list", "show", "audit", "watch", "explain", "report"}

// No verb takes what a login may not see for what is not there: it exits with 1
// and names the statement that would let the login see it. What nodes work as
// sees everything.
func TestBlindLogins(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	batch := f.Enqueue("menu", 2, "a.example")
	f.Exec(`INSERT INTO enotify.client_login SELECT id, 'somebody_else' FROM enotify.client`)
	f.Exec(`SELECT enotify.cancel_batch($1, '')`, batch)
	f.Exec(`UPDATE enotify.batch SET finished_at = now()`)
	names := dnstest.New(t, "*.example. A 192.0.2.1")
	for login, test := range map[string]struct {
		url, want string
	}{
		"no role": {queuetest.Login(t, f.URL), "GRANT enotify_app TO "},
		"an application that is tied to no client": {queuetest.Login(t, f.URL, "enotify_app"), "GRANT enotify_"},
		"a node's": {queuetest.Login(t, f.URL, "enotify_sender"), ""},
	} {
		for _, line := range reads {
			code, out := invoke(t.Context(), strings.Fields(line), "DATABASE_URL", test.url, "ENOTIFY_RESOLVER", names.Addr)
			switch granted := strings.Contains(out, "GRANT "); {
			case test.want == "" && (granted || strings.Contains(out, "may not do")):
				t.Errorf("%s: %s: got exit %d, %q, want it to see all", login, line, code, out)
			case test.want != "" && (code != 1 || !strings.Contains(out, test.want)):
				t.Errorf("%s: %s: got exit %d, %q, want exit 1 with %q", login, line, code, out, test.want)
			}
		}
	}

	for _, noun := range enotify.Root().Commands() {
		for _, verb := range leaves(noun) {
			path := strings.TrimPrefix(verb.CommandPath(), "enotify ")
			if slices.Contains(asks, verb.Name()) &&
				!slices.ContainsFunc(reads, func(line string) bool { return strings.HasPrefix(line, path) }) {
				t.Errorf("%s asks the database, and is not among the verbs of this test", path)
			}
		}
	}
}

func leaves(cmd *cobra.Command) (all []*cobra.Command) {
	if !cmd.HasSubCommands() {
		return []*cobra.Command{cmd}
	}
	for _, sub := range cmd.Commands() {
		all = append(all, leaves(sub)...)
	}
	return all
}

// invoke runs the program in this process, with an environment of these settings
// alone. A watch goes on until it has written something. out is what the program wrote
// to both streams.
func invoke(ctx context.Context, args []string, settings ...string) (code int, out string) {
	getenv := func(name string) string {
		for i := 0; i < len(settings); i += 2 {
			if settings[i] == name {
				return settings[i+1]
			}
		}
		return ""
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b := output{wrote: func() {}}
	if slices.Contains(args, "watch") {
		b.wrote = cancel
	}
	code = enotify.Run(ctx, args, getenv, &b, &b)
	return code, b.String()
}

// An output keeps what is written, and calls wrote.
type output struct {
	bytes.Buffer
	wrote func()
}

func (o *output) Write(text []byte) (int, error) {
	defer o.wrote()
	return o.Buffer.Write(text)
}
