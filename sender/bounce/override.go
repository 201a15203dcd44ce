package bounce

import (
	"cmp"
	"fmt"
	"os"
	"slices"

	"enotify/queue"
)

// Override returns the built-in rules with an operator's own before them. The
// text is written like the built-in table; a rule with the name of a built-in
// one replaces it, and "off NAME" removes a rule or veto.
//
// The text is checked: each rule has to decide its own examples and to leave its
// "not" lines alone, and no rule of class no_such_user may decide a built-in
// example of another class. The error is a *FileError.
func Override(text string) (Rules, error) {
	own, err := readRules(text)
	if err != nil {
		return Rules{}, err
	}
	replaced := map[string]int{}
	for _, r := range own {
		if first, twice := replaced[r.id]; twice {
			return Rules{}, faulty(r.line, "%s stands in line %d already", r.id, first)
		}
		replaced[r.id] = r.line
	}
	known := map[string]bool{}
	var words, rest []rule
	for _, r := range builtInRules() {
		known[r.id] = true
		switch _, gone := replaced[r.id]; {
		case gone:
		case r.kind == aWords:
			words = append(words, r)
		default:
			rest = append(rest, r)
		}
	}
	for _, r := range own {
		if r.kind == anOff && !known[r.id] {
			return Rules{}, faulty(r.line, "off %s: no built-in rule or veto has that name", r.id)
		}
	}
	n := 0
	for i := range own {
		own[i].own = true
		if own[i].kind == aRule || own[i].kind == aVeto {
			n++
		}
	}
	t, err := compile(slices.Concat(words, own, rest))
	if err != nil {
		return Rules{}, err
	}
	rs := Rules{own: t, n: n}
	for _, r := range own {
		if err := rs.check(r); err != nil {
			return Rules{}, err
		}
	}
	return rs, rs.checkBuiltIn()
}

// Load is [Override] with the text of a file; "" is the built-in table.
func Load(file string) (Rules, error) {
	if file == "" {
		return Rules{}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return Rules{}, err
	}
	rs, err := Override(string(text))
	if err != nil {
		return Rules{}, fmt.Errorf("%s, %w", file, err)
	}
	return rs, nil
}

// check tries a rule on its own examples.
func (rs Rules) check(r rule) error {
	for _, e := range r.examples {
		x := rs.explain(e)
		switch decided := cmp.Or(x.Doubt, x.Rule); {
		case r.kind == aVeto && x.Doubt != r.id:
			return faulty(e.line, "veto %s: nothing keeps the example from its class: %s decides it, as %s", r.id,
				x.Rule, x.Class)
		case r.kind == aRule && x.Rule != r.id:
			return faulty(e.line, "rule %s does not decide its example: %s does, as %s", r.id, decided, x.Class)
		}
	}
	for _, e := range r.not {
		if x := rs.explain(e); x.Rule == r.id || x.Doubt == r.id {
			return faulty(e.line, "%s %s decides what it must leave alone", r.kind, r.id)
		}
	}
	return nil
}

// checkBuiltIn reports an operator's rule that would suppress addresses for a
// reply that is known to mean something else.
func (rs Rules) checkBuiltIn() error {
	for _, b := range builtInRules() {
		if b.class == queue.NoSuchUser && b.kind == aRule {
			continue
		}
		for _, e := range b.examples {
			if x := rs.explain(e); x.Class == queue.NoSuchUser && x.rule != nil && x.rule.own {
				return faulty(x.rule.line,
					"rule %s would suppress addresses for a reply that says something else (%s): %s", x.rule.id, b.id,
					e.reply)
			}
		}
	}
	return nil
}

func (rs Rules) explain(e example) Explanation {
	return rs.Explain(Parse(e.reply), About{Site: e.site})
}

// Check lists the built-in rules that do not decide their examples.
func Check() (faults []error) {
	for _, r := range builtInRules() {
		if err := (Rules{}).check(r); err != nil {
			faults = append(faults, fmt.Errorf("rules.txt: %w", err))
		}
	}
	return faults
}
