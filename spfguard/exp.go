package spfguard

import "context"

// explanation is what the domain wants said to those it fails (§6.2): the single TXT record
// that exp= of the record in charge points to, macros expanded. After any error there is
// none. Its queries count towards no limit.
func (e *evaluation) explanation(ctx context.Context, n *Node) string {
	for st := n.Decided(); st != nil && st.Term.Kind == Redirect; st = n.Decided() {
		n = st.Node
	}
	var unaccounted Step
	for i := range n.Steps {
		t := n.Steps[i].Term
		if t.Kind != Exp {
			continue
		}
		name := e.target(ctx, &t.Spec, n.Domain, &unaccounted)
		if !askable(name) {
			return ""
		}
		ans, err := e.dns.TXT(ctx, name)
		if err != nil || len(ans.Records) != 1 {
			return ""
		}
		text := ans.Records[0]
		for i := range len(text) {
			if text[i] < ' ' || text[i] > '~' {
				return ""
			}
		}
		spec, why := parseMacroString(text, true)
		if why != "" {
			return ""
		}
		return e.expand(ctx, &spec, n.Domain, &unaccounted)
	}
	return ""
}
