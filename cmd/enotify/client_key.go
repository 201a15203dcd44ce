package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/term"
	"enotify/sender/dkim"
	"enotify/spfguard"
)

func (a *app) clientKeyCmd() *cobra.Command {
	var dir dkim.Directory
	var selector, kind string
	cmd := &cobra.Command{
		Use: "key DOMAIN", Short: "Make a DKIM key and print the record to publish", Args: one("a domain"),
		Long: `Makes a key pair. The private key goes to DIR/DOMAIN/SELECTOR.pem, which only
its owner may read, and which is never overwritten: to change keys, take another
selector. Copy it to every node. The record with the public key is the result.`,
		Example: `  enotify client key town.example --selector s2026 --dkim-dir /etc/enotify/dkim
  enotify client key town.example --selector s2026ed --type ed25519 --dkim-dir /etc/enotify/dkim`,
	}
	f := cmd.Flags()
	f.StringVar(&selector, "selector", "", "`NAME` of the key, a new one for each key; its record is NAME._domainkey.DOMAIN")
	f.StringVar(&kind, "type", dkim.RSA, "rsa (2048 bits, which every receiver can check) or ed25519 (to use beside an RSA key)")
	dkimDirFlag(f, &dir)
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions([]string{dkim.RSA, dkim.Ed25519}, cobra.ShellCompDirectiveNoFileComp))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case dir.Path == "":
			return exit.Usagef("where do the keys belong? say --dkim-dir DIR")
		case selector == "":
			return exit.Usagef("which selector? say --selector NAME, such as s2026")
		case kind != dkim.RSA && kind != dkim.Ed25519:
			return exit.Usagef("--type %s: want rsa or ed25519", kind)
		}
		key, err := dir.Generate(strings.ToLower(spfguard.ASCII(args[0])), selector, kind)
		if err != nil {
			return err
		}
		a.hint("private key: %s", dir.File(key.Domain, selector))
		a.hint("publish the record below, then: enotify client set %s --dkim-selector %s", key.Domain, selector)
		line := zoneLine{Name: key.Name(), Type: "TXT", Value: key.Record(), Why: "receivers find the key of selector " + selector + " here", Status: zonePublish}
		return a.print(line, func(p *term.Page) { p.Line("%s", line.text()) })
	}
	return cmd
}

// dkimDirFlag is where the verbs that need keys look for them.
func dkimDirFlag(f *pflag.FlagSet, dir *dkim.Directory) {
	f.StringVar(&dir.Path, "dkim-dir", "", "`DIR` with the DKIM keys, as DIR/DOMAIN/SELECTOR.pem")
}
