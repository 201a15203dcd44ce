package preflight

import (
	"context"
	"crypto"
	"fmt"
	"strings"

	"enotify/sender/dkim"
)

// A Key is the public half of a key that we sign with.
type Key struct {
	Domain   string // d=
	Selector string // s=
	Public   crypto.PublicKey
}

func (k Key) name() string { return dkim.Name(k.Domain, k.Selector) }

// checkDKIM looks at what is published for our keys.
func checkDKIM(ctx context.Context, in *Input) []Finding {
	f := Finding{ID: "dkim.key", Severity: Pass}
	switch {
	case in.KeyTrouble != nil:
		f.Severity, f.Found = Block, fmt.Sprintf("The mail cannot be signed, and a node would hold it: %v.", in.KeyTrouble)
		return []Finding{f}
	case in.Keys == nil:
		f.Severity, f.Found = NotChecked, "No directory of keys was named, so nobody knows here whether the mail will be signed."
		f.Advice = "Name the one that enotify run has: --dkim-dir DIR."
		return []Finding{f}
	case len(in.Keys) == 0:
		f.Severity = Warn
		f.Found = fmt.Sprintf("There is no key for %s: its mail is not signed.", in.Client)
		f.Advice = fmt.Sprintf("Make one, enotify client key %s --selector s1 --dkim-dir DIR, publish it, then enotify client set %s --dkim-selector s1.", in.Client, in.Client)
		return []Finding{f}
	}
	for _, k := range in.Keys {
		severity, said, published, err := examineKey(ctx, in, k)
		if err != nil {
			return []Finding{unsure(f.ID, err)}
		}
		if published != "" {
			f.Evidence = append(f.Evidence, zoneTXT(k.name(), published))
		}
		f.Found = strings.TrimSpace(f.Found + " " + said)
		if severity == Block || severity == Warn && f.Severity == Pass {
			f.Severity = severity
		}
		if severity == Block {
			f.Fix = append(f.Fix, zoneTXT(k.name(), dkim.Record(k.Public)))
			f.Advice = "Publish the line; receivers see it once the old answer has run out."
		}
	}
	return []Finding{f}
}

// examineKey compares the record of a key with the key. Its errors are
// temporary.
func examineKey(ctx context.Context, in *Input, k Key) (severity Severity, said, published string, err error) {
	records, err := in.txt(ctx, k.name())
	if err != nil {
		return "", "", "", err
	}
	switch len(records) {
	case 0:
		return Block, fmt.Sprintf("Nothing is published at %s.", k.name()), "", nil
	case 1:
	default:
		return Block, fmt.Sprintf("There are %d records at %s; receivers may take any of them.", len(records), k.name()), records[0], nil
	}
	key, err := dkim.ParseRecord(records[0])
	bits := key.Bits()
	switch {
	case err != nil:
		return Block, fmt.Sprintf("The record at %s is no key: %v.", k.name(), err), records[0], nil
	case !key.Is(k.Public):
		return Block, fmt.Sprintf("The key at %s is not the one we sign with.", k.name()), records[0], nil
	case key.Testing:
		return Warn, fmt.Sprintf("The key at %s is marked as a test (t=y): receivers treat the mail as unsigned.", k.name()), records[0], nil
	case bits > 0 && bits < dkim.LeastRSA:
		return Block, fmt.Sprintf("The key at %s has %d bits; receivers ignore keys under %d.", k.name(), bits, dkim.LeastRSA), records[0], nil
	case bits > 0 && bits < dkim.UsualRSA:
		return Warn, fmt.Sprintf("The key at %s has %d bits; make a new one of %d.", k.name(), bits, dkim.UsualRSA), records[0], nil
	}
	return Pass, fmt.Sprintf("The key at %s is ours.", k.name()), records[0], nil
}
