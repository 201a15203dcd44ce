package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/console"
)

func (a *app) consoleCmd() *cobra.Command {
	var c console.Config
	var allowMX []string
	var connect connectFlags
	cmd := &cobra.Command{
		Use: "console", Short: "Serve a web page that shows batches, sites and clients, and steers",
		Args: atMost(0),
		Long: `Serves the console at a loopback address until a signal. enotify run --console
serves the same beside a node. It reads through one connection, however many
pages are open. What changes something asks first, and the log of the batch
names who did it.

To open it to others, give --console-tokens, and HTTPS by --console-cert and
--console-key, or by a web server in front. A line of the file of tokens is
PERSON TOKEN, and may have a third word, until when the token holds. Changes of
the file are in force at once: a token whose line was removed is refused.`,
		Example: "  enotify console\n  enotify console --listen 127.0.0.1:9027 --console-tokens /etc/enotify/console-tokens",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx := cmd.Context()
			if c.Connect, err = connect.connector(); err != nil {
				return err
			}
			c.Person, c.Log = a.person(), a.logger()
			c.Resolver, c.AllowMX = a.resolver, allowMX
			server, err := console.Listen(c)
			if err != nil {
				return err
			}
			defer server.Close()
			databaseURL, stop, err := a.database(ctx)
			if err != nil {
				return err
			}
			defer stop()
			server.DatabaseURL = databaseURL
			a.hint("the console is at %s (Ctrl-C ends it)", server.URL())
			return server.Run(ctx)
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Listen, "listen", "127.0.0.1:9027",
		"serve at `ADDR`; beyond loopback it takes --console-tokens or --console-client-ca")
	consoleFlags(f, &c)
	allowMXFlag(f, &allowMX)
	connect.add(f)
	f.StringVar(&c.DKIMDir, "dkim-dir", "", "`DIR` with the DKIM keys, as DIR/DOMAIN/SELECTOR.pem")
	return cmd
}

// consoleFlags say who may come in.
func consoleFlags(f *pflag.FlagSet, c *console.Config) {
	f.StringVar(&c.Tokens, "console-tokens", "",
		"`FILE` with a line PERSON TOKEN [END] for each person that may use the console")
	f.StringVar(&c.Cert, "console-cert", "", "PEM `FILE` with the certificate for HTTPS on the console")
	f.StringVar(&c.Key, "console-key", "", "PEM `FILE` with the key of that certificate")
	f.StringVar(&c.ClientCA, "console-client-ca", "",
		"PEM `FILE` of the authority whose client certificates may use the console")
}
