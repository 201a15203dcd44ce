package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/cure"
	"enotify/cmd/enotify/exit"
)

// connectFlags are those of every verb that makes links for DNS providers.
type connectFlags struct{ service, key string }

func (c *connectFlags) add(f *pflag.FlagSet) {
	f.StringVar(&c.service, "domain-connect", "",
		"`PROVIDER/SERVICE` of our Domain Connect template, such as host.example/notifications: the page of a client then publishes at one click")
	f.StringVar(&c.key, "domain-connect-key", "",
		"PEM `FILE` with the RSA key that signs those links; its public half is at _dck1.PROVIDER")
}

// connector is nil where no service is named.
func (c *connectFlags) connector() (*cure.Connector, error) {
	if c.service == "" {
		return nil, nil
	}
	provider, service, ok := strings.Cut(c.service, "/")
	if !ok || provider == "" || service == "" || strings.Contains(service, "/") {
		return nil, exit.Usagef("--domain-connect %s: want PROVIDER/SERVICE, such as host.example/notifications",
			c.service)
	}
	made := &cure.Connector{Provider: provider, Service: service, KeyHost: "_dck1"}
	if c.key == "" {
		return made, nil
	}
	var err error
	if made.Key, err = cure.ReadKey(c.key); err != nil {
		return nil, exit.Usagef("--domain-connect-key: %w", err)
	}
	return made, nil
}

func (a *app) clientTemplateCmd() *cobra.Command {
	var connect connectFlags
	cmd := &cobra.Command{
		Use: "template", Short: "Print the Domain Connect template that DNS providers register", Args: atMost(0),
		Long: `Prints the service template of Domain Connect as a file ready to be registered
with DNS providers. Once a provider has it, the page of a client there offers to
publish SPF, DKIM, DMARC and the MX of bounces at one click: see enotify help
spf-blocks. With --domain-connect-key, the line for the zone of PROVIDER, by
which providers verify our links, goes to standard error.`,
		Example: "  enotify client template --domain-connect host.example/notifications > host.example.notifications.json",
	}
	connect.add(cmd.Flags())
	cmd.RunE = func(*cobra.Command, []string) error {
		c, err := connect.connector()
		if err != nil {
			return err
		}
		if c == nil {
			return exit.Usagef("which template? say --domain-connect PROVIDER/SERVICE, such as host.example/notifications")
		}
		text, err := c.Template()
		if err != nil {
			return err
		}
		if c.Key != nil {
			record, err := c.KeyRecord()
			if err != nil {
				return err
			}
			a.hint("publish: %s", cure.Plan{Changes: []cure.Change{{Record: record}}}.ZoneFile())
		}
		_, err = fmt.Fprintf(a.stdout, "%s\n", text)
		return err
	}
	return cmd
}
