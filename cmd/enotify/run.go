package main

import (
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/node"
)

func (a *app) runCmd() *cobra.Command {
	var c node.Config
	var egress []string
	cmd := &cobra.Command{
		Use: "run", Short: "Send what is queued, until a signal", Args: cobra.NoArgs,
		Example: "  enotify run --egress 192.0.2.10 --helo mail.host.example",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if c.Egress, err = parseEgress(egress); err != nil {
				return err
			}
			if c.StateDir == "" {
				if c.StateDir, err = node.StateDir(); err != nil {
					return err
				}
			}
			c.Login.Password = a.getenv("ENOTIFY_SMARTHOST_PASSWORD") // never an argument
			c.DatabaseURL, c.Resolver, c.Version, c.Log = a.databaseURL, a.resolver, version, a.logger()
			return node.Run(cmd.Context(), c)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&egress, "egress", nil, "`IP` addresses that receivers see; default: this host's public ones")
	f.StringVar(&c.HELO, "helo", "", "our `NAME` at EHLO; default: this host's name")
	f.StringVar(&c.Name, "node", "", "`NAME` of this node; default: the host's name and the process id")
	f.IntVar(&c.SMTPPort, "smtp-port", 25, "where receivers listen")
	f.StringVar(&c.Smarthost, "smarthost", "", "deliver everything to `HOST:PORT`")
	f.StringVar(&c.Login.User, "smarthost-user", "", "`NAME` to log in with there, with the password in ENOTIFY_SMARTHOST_PASSWORD; needs STARTTLS with a good certificate, or --tls required")
	f.StringVar(&c.TLS, "tls", "opportunistic", "opportunistic; required: nothing in the clear; verified: and only to hosts with a good certificate; enotify destination set says otherwise for some")
	f.StringVar(&c.DKIMDir, "dkim-dir", "", "`DIR` with the DKIM keys, DIR/DOMAIN/SELECTOR.pem")
	f.StringVar((*string)(&c.Turn), "turn", "strict", "strict: one batch at a time; destination: the next begins while the last only waits for slow sites, if all nodes say so")
	f.BoolVar(&c.UntilIdle, "until-idle", false, "end when nothing is due now")
	f.DurationVar(&c.Grace, "grace", 30*time.Second, "what transactions under way get to finish after a signal")
	f.DurationVar(&c.Schedule.First, "retry-first", 5*time.Minute, "wait before the first retry; each further one waits twice as long")
	f.DurationVar(&c.Schedule.Max, "retry-max", 4*time.Hour, "longest wait before a retry")
	f.IntVar(&c.MaxInFlight, "max-in-flight", 2000, "messages begun and not yet recorded")
	f.IntVar(&c.MaxConnections, "max-connections", 500, "SMTP connections open at once")
	f.DurationVar(&c.Recheck, "spf-recheck", 6*time.Hour, "how often to look at the SPF record of every client, batch or not")
	f.StringVar(&c.StateDir, "state-dir", "", "`FOLDER` of the journal, on a disk that outlives the process; nodes of one host may share it; default: in the user's state folder")
	f.StringVar(&c.Listen, "listen", "", "serve /healthz, /metrics and the unsubscribe page at `ADDR`, such as 127.0.0.1:9025")
	f.StringVar(&c.PublicURL, "public-url", "", "`URL`, https, at which readers reach the unsubscribe page of --listen; its /u/ is to be passed on there")
	f.StringArrayVar(&c.BounceListen, "bounce-listen", nil, "take in bounces at `ADDR`, such as :25 or lmtp://127.0.0.1:2424; may be repeated")
	f.StringVar(&c.BounceDomain, "bounce-domain", "", "`NAME` of the signed return paths of clients that leave them to the operator; the same on all nodes")
	f.StringVar(&c.BounceCert, "bounce-tls-cert", "", "offer STARTTLS to who brings bounces: `FILE` of the certificate, PEM")
	f.StringVar(&c.BounceKey, "bounce-tls-key", "", "`FILE` of its key, PEM")
	return cmd
}

func parseEgress(texts []string) (addrs []netip.Addr, err error) {
	for _, text := range texts {
		ip, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			return nil, exit.Usagef("--egress %s: not an IP address", text)
		}
		addrs = append(addrs, ip)
	}
	return addrs, nil
}
