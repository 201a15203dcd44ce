package preflight

import (
	"context"
	"fmt"

	"enotify/cmd/enotify/figures"
)

// checkMessage looks at the messages that were rendered.
func checkMessage(_ context.Context, in *Input) []Finding {
	r := in.Rendering
	found := []Finding{mergeFinding(in)}
	if r.Sample == nil {
		return append(found, unrendered("hdr.5322", "body.size", "body.text", "unsub.header")...)
	}
	p, err := readMessage(r.Sample)
	found = append(found, wellFormed(r.Sample))
	if err != nil {
		return append(found, unrendered("body.size", "body.text", "unsub.header")...)
	}
	return append(found, sizes(p, r.Largest), content(p), offers(p, in.bulk()))
}

// mergeFinding names the recipients that would get nothing.
func mergeFinding(in *Input) Finding {
	r := in.Rendering
	f := Finding{ID: "hdr.merge", Severity: Pass}
	switch {
	case r.Err != nil:
		f.Severity, f.Enforced = Block, true
		f.Found = fmt.Sprintf("No message can be composed: %v.", r.Err)
		f.Advice = "Cancel the batch and create it again with the part put right."
		return f
	case in.Census.Sendable == 0:
		f.Severity, f.Found = NotChecked, "No recipient is left to send to."
		return f
	}
	n := f.name(r.Gaps) + f.name(r.Left)
	empty := f.name(r.Empty)
	switch {
	case n > 0:
		f.Severity = Block
		f.Found = fmt.Sprintf("%s would get no message, or one with braces in it.", figures.Some(n, "recipient"))
		f.Advice = "Give the field a value for everybody, or write {{with .field}}…{{end}} around it where it may be missing."
	case empty > 0:
		f.Severity = Warn
		f.Found = fmt.Sprintf("%s would read a message with nothing where a merge field stands.", figures.Some(empty, "recipient"))
		f.Advice = `Give the field a value for everybody, or write {{or .field "friend"}} where it may be empty.`
	case in.Census.OtherShapes > 0:
		f.Severity = Warn
		f.Found = fmt.Sprintf("The first %s sets of merge fields can be filled; the fields of %s were not tried.",
			figures.Count(r.Written), figures.Some(in.Census.OtherShapes, "recipient"))
	case len(in.Census.Shapes) == 0:
		f.Found = "There are no merge fields."
	default:
		f.Found = fmt.Sprintf("All fields can be filled for everybody: %s of merge fields, each rendered.",
			figures.Some(len(in.Census.Shapes), "set"))
	}
	return f
}

// name adds the recipients to the evidence, and returns how many they are.
func (f *Finding) name(gaps []Gap) (n int) {
	for _, g := range gaps {
		n += g.N
		f.Evidence = append(f.Evidence, fmt.Sprintf("%s: %s", figures.Some(g.N, "recipient"), g.Why))
		for _, who := range g.Who {
			f.Evidence = append(f.Evidence, "    "+who)
		}
		if more := g.N - len(g.Who); more > 0 && len(g.Who) > 0 {
			f.Evidence = append(f.Evidence, fmt.Sprintf("    and %s more", figures.Count(more)))
		}
	}
	return n
}
