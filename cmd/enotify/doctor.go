package main

import (
	"context"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/database"
	"enotify/cmd/enotify/doctor"
	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/node"
	"enotify/cmd/enotify/settings"
	"enotify/cmd/enotify/term"
	"enotify/queue"
)

func (a *app) doctorCmd() *cobra.Command {
	var c doctor.Config
	var egress []string
	var strict bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look at everything that a node needs, and name the cures",
		Args: atMost(0),
		Long: `Looks at the login and its roles, the database server, its durability and the
schema, at nodes and clients, at the addresses that receivers see, the DNS
server, the state folder, DKIM keys and certificates. It changes nothing. Each
finding names the command that cures it.

Its flags are those of enotify run. With the environment of a node, and as its
user, it looks at what the node will meet; without, at the live nodes.

Exit codes: 0 nothing is wrong; 2 a problem; 3 with --strict, warnings.`,
		Example: `  enotify doctor
  enotify doctor --egress 192.0.2.10 --helo mail.host.example --port25-host mx.example.net`,
	}
	f := cmd.Flags()
	f.StringSliceVar(&egress, "egress", nil,
		"`IP` addresses that receivers see, separated by commas; default: those of the live nodes, else this host's public ones")
	f.BoolVar(&c.EgressPrivate, "egress-private", false, "allow --egress addresses that are not public")
	f.StringVar(&c.HELO, "helo", "", "our `NAME` in EHLO; default: that of the live nodes, else this host's name")
	f.StringVar(&c.Smarthost, "smarthost", "", "everything is delivered to `HOST:PORT`")
	f.StringVar(&c.Port25Host, "port25-host", "",
		"mail `HOST` to dial at port 25, or HOST:PORT; default: none is dialled")
	f.StringVar(&c.StateDir, "state-dir", "", "`DIR` of the node's journal; default: as for run")
	f.StringVar(&c.DKIMDir, "dkim-dir", "", "`DIR` with the DKIM keys, as DIR/DOMAIN/SELECTOR.pem")
	dnssecFlag(f, &c.DNSSECResolver)
	f.StringVar(&c.PublicURL, "public-url", "", "`URL` of the unsubscribe page, whose certificate is looked at")
	f.StringVar(&c.BounceCert, "bounce-tls-cert", "", "PEM `FILE` with the certificate of the bounce listener")
	f.StringVar(&c.BounceKey, "bounce-tls-key", "", "PEM `FILE` with the key of that certificate")
	f.BoolVar(&strict, "strict", false, "exit with 3 if there are warnings")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if c.Egress, err = settings.Addresses("--egress", egress); err != nil {
			return err
		}
		if err := settings.HostPort("--smarthost", c.Smarthost); err != nil {
			return err
		}
		if c.StateDir == "" {
			if c.StateDir, err = node.StateDir(); err != nil {
				return err
			}
		}
		c.Resolver = a.resolver
		stop := func() {}
		defer func() { stop() }()
		c.Open = func(ctx context.Context) (*queue.DB, error) {
			databaseURL, end, err := a.database(ctx)
			if err != nil {
				return nil, err
			}
			stop = end
			return queue.Open(ctx, databaseURL, 0)
		}
		if a.databaseURL == "" {
			c.Private = database.PrivateDir()
		}
		r := doctor.Run(cmd.Context(), c)
		if err := cmd.Context().Err(); err != nil {
			return err
		}
		if err := a.print(r, func(p *term.Page) { r.Lay(p) }); err != nil {
			return err
		}
		switch {
		case r.Problems > 0:
			return exit.With(exit.Blocked, nil)
		case r.Warnings > 0 && strict:
			return exit.With(exit.Warned, nil)
		}
		return nil
	}
	return cmd
}
