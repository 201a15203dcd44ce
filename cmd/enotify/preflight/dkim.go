package preflight

import (
	"context"
	"fmt"
	"strings"

	"enotify/cmd/enotify/judge"
	"enotify/sender/dkim"
)

// checkDKIM looks at what is published for our keys.
func checkDKIM(ctx context.Context, in *Input) []Finding {
	f := Finding{ID: "dkim.key", Severity: Pass}
	switch {
	case in.KeyTrouble != nil:
		f.Severity, f.Found = Block, fmt.Sprintf("The mail cannot be signed, and a node would hold it: %v.",
			in.KeyTrouble)
		f.Enforced = true
		return []Finding{f}
	case in.Keys == nil:
		f.Severity, f.Found = NotChecked,
			"The keys that sign are not known here: no live node has told of them, and no directory was named."
		f.Advice = "Start a node, whose guard looks at them within seconds, or name the directory that enotify run has: --dkim-dir DIR."
		return []Finding{f}
	case len(in.Keys) == 0:
		f.Severity = Warn
		f.Found = fmt.Sprintf("There is no key for %s: its mail is not signed.", in.Client)
		f.Advice = fmt.Sprintf("Make one, enotify client key %s --selector s1 --dkim-dir DIR, publish it, then enotify client set %s --dkim-selector s1.", in.Client, in.Client)
		return []Finding{f}
	}
	for _, k := range in.Keys {
		state, err := (&judge.Judge{DNS: in.DNS}).Examine(ctx, k)
		if err != nil {
			return []Finding{unsure(f.ID, err)}
		}
		if state.Published != "" {
			f.Evidence = append(f.Evidence, zoneTXT(k.Name(), state.Published))
		}
		f.Found = strings.TrimSpace(f.Found + " " + state.Said)
		if state.Doubtful && f.Severity == Pass {
			f.Severity = Warn
		}
		if state.Unusable {
			f.Severity = Block
			f.Fix = append(f.Fix, zoneTXT(k.Name(), dkim.Record(k.Public)))
			f.Advice = "Publish the line; receivers see it once the old answer has run out."
		}
	}
	return []Finding{f}
}
