package main

import (
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/console"
	"enotify/cmd/enotify/database"
	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/node"
	"enotify/cmd/enotify/settings"
)

func (a *app) runCmd() *cobra.Command {
	var c node.Config
	var egress, allowMX, allowWebhook []string
	var private bool
	var logAttempts string
	var web console.Config
	var connect connectFlags
	cmd := &cobra.Command{
		Use: "run", Short: "Run a node: send queued batches until a signal", Args: atMost(0),
		Example: "  enotify run --egress 192.0.2.10 --helo mail.host.example",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if a.databaseURL == "" && !private {
				return exit.Usagef("run needs a database: set DATABASE_URL to yours, or give --private to send what is in the private PostgreSQL in %s",
					database.PrivateDir())
			}
			if c.Egress, err = settings.Addresses("--egress", egress); err != nil {
				return err
			}
			if c.AllowMX, err = settings.Networks("--allow-mx", allowMX); err != nil {
				return err
			}
			if c.AllowWebhook, err = settings.Networks("--allow-webhook", allowWebhook); err != nil {
				return err
			}
			if c.StateDir == "" {
				if c.StateDir, err = node.StateDir(); err != nil {
					return err
				}
			}
			c.Login.Password = a.getenv("ENOTIFY_SMARTHOST_PASSWORD") // never an argument
			c.DatabaseURL, c.Resolver, c.Version, c.Log = a.databaseURL, a.resolver, version, a.logger()
			attempts, stop, err := a.attemptLog(cmd.Context(), logAttempts, c.Log)
			if err != nil {
				return err
			}
			defer stop()
			c.Attempts = attempts
			if web.Listen != "" {
				c.Console = &web
				web.DatabaseURL, web.Person, web.Log = c.DatabaseURL, a.person(), c.Log
				if web.Connect, err = connect.connector(); err != nil {
					return err
				}
				web.Resolver, web.AllowMX, web.DKIMDir = c.Resolver, allowMX, c.DKIMDir
			}
			node.RoomyHeap()
			return node.Run(cmd.Context(), c)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&egress, "egress", nil,
		"`IP` addresses that receivers see, separated by commas; default: this host's public addresses")
	f.BoolVar(&private, "private", false, "without a database URL: use the private PostgreSQL of this user")
	f.BoolVar(&c.EgressPrivate, "egress-private", false,
		"allow --egress addresses that are not public, for receivers in the same network")
	f.StringVar(&c.HELO, "helo", "", "our `NAME` in EHLO; default: this host's name")
	f.StringVar(&c.Name, "node", "", "`NAME` of this node; default: the host's name and the process id")
	f.IntVar(&c.SMTPPort, "smtp-port", 25, "port of the receivers")
	allowMXFlag(f, &allowMX)
	dnssecFlag(f, &c.DNSSECResolver)
	f.StringVar(&c.Smarthost, "smarthost", "", "deliver everything to `HOST:PORT`")
	f.StringVar(&c.Login.User, "smarthost-user", "",
		"user `NAME` at the smarthost, with the password in ENOTIFY_SMARTHOST_PASSWORD; needs STARTTLS with a valid certificate, or --tls required")
	f.StringVar(&c.TLS, "tls", "opportunistic",
		"opportunistic: encrypt where it works; required: never unencrypted; verified: required, with a valid certificate; enotify destination set overrides it")
	f.StringVar(&c.TLSReportFrom, "tls-report-from", "",
		"send recipient domains the daily reports on TLS that they ask for (RFC 8460) from `ADDRESS`, whose domain is a client with a DKIM key")
	f.StringVar(&c.DKIMDir, "dkim-dir", "", "`DIR` with the DKIM keys, as DIR/DOMAIN/SELECTOR.pem")
	f.StringVar(&c.Operator, "dkim-operator", "",
		"sign all mail also with `DOMAIN/SELECTOR` of yours, whose key is in --dkim-dir: Yahoo's feedback loop goes by d=")
	f.StringVar((*string)(&c.Turn), "turn", "strict",
		"strict: one batch at a time; destination: begin the next batch while the last one only waits for slow sites, if all nodes have this setting")
	f.BoolVar(&c.UntilIdle, "until-idle", false, "stop when nothing is due now")
	f.DurationVar(&c.Grace, "grace", 30*time.Second, "time for messages under way to finish after a signal")
	f.DurationVar(&c.Schedule.First, "retry-first", 5*time.Minute,
		"wait before the first retry; each further one waits twice as long")
	f.DurationVar(&c.Schedule.Max, "retry-max", 4*time.Hour, "longest wait before a retry")
	f.IntVar(&c.MaxInFlight, "max-in-flight", 2000, "messages begun but not yet recorded, at most")
	f.IntVar(&c.MaxConnections, "max-connections", 0,
		"maximum number of open SMTP connections; those that have waited over 1 s for an answer are not counted, "+
			"and up to twice this number of them, or 500 if that is more, may be open in addition; "+
			"default: 750, or what the limit of open files allows")
	f.DurationVar(&c.Recheck, "spf-recheck", 6*time.Hour, "time between SPF checks of clients without a batch")
	f.BoolVar(&c.RequireDurable, "require-durable", false,
		"refuse a database server that may forget what it has committed: fsync or full_page_writes off, or only asynchronous standbys")
	f.StringVar(&c.StateDir, "state-dir", "",
		"`FOLDER` of the journal, on a disk that outlives the process; nodes of one host may share it; default: in the user's state folder")
	f.StringVar(&c.Submit, "submit", "",
		"take batches over HTTP at `ADDR`, such as 127.0.0.1:9026, from applications with a token (enotify token add)")
	f.StringVar(&c.SubmitCert, "submit-cert", "",
		"PEM `FILE` with the certificate of --submit; without it, --submit is at a loopback address")
	f.StringVar(&c.SubmitKey, "submit-key", "", "PEM `FILE` with the key of that certificate")
	f.StringSliceVar(&allowWebhook, "allow-webhook", nil,
		"`NETWORKS` where webhooks may be although they are private or loopback, separated by commas; http without encryption is allowed there too")
	f.StringVar(&logAttempts, "log-attempts", "",
		"log every message on its way to `FILE`, or - for standard output, in the form of --log; SIGHUP opens the file again")
	f.StringVar(&c.Listen, "listen", "",
		"serve /healthz and /metrics at `ADDR`, such as 127.0.0.1:9025, and without --unsubscribe-listen the unsubscribe page")
	f.StringVar(&c.UnsubscribeListen, "unsubscribe-listen", "",
		"serve the unsubscribe page alone at `ADDR`, for the public")
	f.StringVar(&c.PublicURL, "public-url", "",
		"https `URL` at which readers reach the unsubscribe page; pass its /u/ on to --unsubscribe-listen")
	f.StringVar(&c.UnsubscribeWords, "unsubscribe-words", "",
		"JSON `FILE` with what the unsubscribe page says in languages beside English, German, French and Spanish, or in their place")
	f.StringVar(&web.Listen, "console", "",
		"serve the console at `ADDR`, such as 127.0.0.1:9027; beyond loopback it takes --console-tokens or --console-client-ca")
	consoleFlags(f, &web)
	connect.add(f)
	bounceRulesFlag(f, &c.BounceRules)
	f.StringVar(&c.FeedbackID, "feedback-id", "enotify",
		"`NAME` of the sender in Feedback-ID, by which Gmail counts complaints: 5 to 15 letters and digits; the same on all nodes")
	f.StringArrayVar(&c.BounceListen, "bounce-listen", nil,
		"accept bounces at `ADDR`, such as :25 or lmtp://127.0.0.1:2424; may be repeated")
	f.StringSliceVar(&c.Feedback, "feedback-address", nil,
		"fixed `ADDRESSES` that the bounce listener takes mail for, separated by commas: register them with the feedback loops of mail providers")
	f.StringVar(&c.BounceDomain, "bounce-domain", "",
		"domain `NAME` of signed return paths for clients with --bounce operator; the same on all nodes")
	f.StringVar(&c.BounceCert, "bounce-tls-cert", "",
		"PEM `FILE` with the certificate for STARTTLS on the bounce listener")
	f.StringVar(&c.BounceKey, "bounce-tls-key", "", "PEM `FILE` with the key of that certificate")
	return cmd
}

// allowMXFlag is the flag of all verbs that look for receivers.
func allowMXFlag(f *pflag.FlagSet, to *[]string) {
	f.StringSliceVar(to, "allow-mx", nil,
		"`NETWORKS` where receivers may be although they are private, loopback or our own, separated by commas, such as 10.0.0.0/8")
}

// operatorFlag is the flag of all verbs that show a message as a node signs it.
func operatorFlag(f *pflag.FlagSet, to *string) {
	f.StringVar(to, "dkim-operator", "", "`DOMAIN/SELECTOR` of the operator's own key in --dkim-dir, as in enotify run")
}

// dnssecFlag is the flag of all verbs that look at the encryption of receivers.
func dnssecFlag(f *pflag.FlagSet, to *string) {
	f.StringVar(to, "dnssec-resolver", "",
		"DNS server `HOST:PORT` that validates DNSSEC, on this host or over a safe network: asked for recipient domains, with DANE")
}
