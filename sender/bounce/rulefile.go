package bounce

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"enotify/queue"
)

// A rule is one paragraph of a file of rules. Every line begins with a word
// that says what the rest is; a line that begins with a space goes on with
// the one before it; "#" begins a comment. rules.txt explains the words.
type rule struct {
	line     int  // where it begins
	own      bool // an operator's; built-in vetoes do not bind it
	kind     string
	id       string
	class    queue.Class
	mark     Mark
	when     string
	says     string
	near     string
	unless   string
	despite  string // names of vetoes
	source   string
	examples []example // that it decides
	not      []example // that it must leave alone
}

// The kinds of a paragraph, which are also the words that it begins with.
const (
	aRule  = "rule"
	aVeto  = "veto"
	aWords = "words"
	anOff  = "off"
)

// An example is a reply, and the site that gives it where a rule asks for that.
type example struct {
	line        int
	site, reply string
}

var (
	isRuleID = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,59}$`).MatchString
	isDated  = regexp.MustCompile(`^\S.*, 20[0-9]{2}-(?:0[1-9]|1[0-2])$`).MatchString
)

// ruleClasses are the classes of replies.
var ruleClasses = slices.DeleteFunc(queue.Classes(), func(c queue.Class) bool { return c == queue.NotBegun })

// A FileError is a fault in a file of rules.
type FileError struct {
	Line int
	Text string
}

func (e *FileError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

func faulty(line int, format string, args ...any) error {
	return &FileError{line, fmt.Sprintf(format, args...)}
}

// readRules reads a file of rules.
func readRules(text string) (rules []rule, err error) {
	var r rule
	flush := func() error {
		if r.kind == "" {
			return nil
		}
		if err := r.complete(); err != nil {
			return err
		}
		rules, r = append(rules, r), rule{}
		return nil
	}
	var last *string
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.TrimRight(line, " \t\r")
		switch {
		case strings.HasPrefix(line, "#"):
			continue
		case line == "":
			if err := flush(); err != nil {
				return nil, err
			}
			last = nil
			continue
		case line[0] == ' ' || line[0] == '\t':
			if last == nil {
				return nil, faulty(n, "a line that begins with a space goes on with the line before it, and there is none that can")
			}
			*last += " " + strings.TrimSpace(line)
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		if value = strings.TrimSpace(value); value == "" {
			return nil, faulty(n, "%s says nothing", key)
		}
		if last, err = r.set(n, key, value); err != nil {
			return nil, err
		}
	}
	return rules, flush()
}

// set takes in one line. It returns where lines go on, nil where they must not.
func (r *rule) set(line int, key, value string) (*string, error) {
	if r.kind == "" {
		if !slices.Contains([]string{aRule, aVeto, aWords, anOff}, key) {
			return nil, faulty(line, "a paragraph begins with rule, veto, words or off, not with %q", key)
		}
		if !isRuleID(value) {
			return nil, faulty(line, "%q is no name: it has up to 60 of a-z, 0-9, dot and hyphen", value)
		}
		r.line, r.kind, r.id = line, key, value
		return nil, nil
	}
	at := map[string]*string{"when": &r.when, "says": &r.says, "near": &r.near, "unless": &r.unless,
		"despite": &r.despite, "source": &r.source}[key]
	switch {
	case at != nil:
		if *at != "" {
			return nil, faulty(line, "%s %s has %s twice", r.kind, r.id, key)
		}
		*at = value
		return at, nil
	case key == "class":
		r.class = queue.Class(value)
		if !slices.Contains(ruleClasses, r.class) {
			return nil, faulty(line, "%s %s: %q is no class: it is one of %s", r.kind, r.id, value, classList())
		}
	case key == "mark":
		r.mark = Mark(value)
		if marks[r.mark] == nil {
			return nil, faulty(line, "%s %s: %q is no mark: it is one of %s", r.kind, r.id, value, markList())
		}
	case key == "example":
		r.examples = append(r.examples, readExample(line, value))
	case key == "not":
		r.not = append(r.not, readExample(line, value))
	default:
		return nil, faulty(line, "%s %s: %q is no word for a line: it is one of class, mark, when, says, near, unless, despite, source, example, not", r.kind, r.id, key)
	}
	return nil, nil
}

func classList() string {
	names := make([]string, len(ruleClasses))
	for i, c := range ruleClasses {
		names[i] = string(c)
	}
	return strings.Join(names, ", ")
}

func markList() string {
	var names []string
	for _, m := range Marks() {
		names = append(names, string(m))
	}
	return strings.Join(names, ", ")
}

// readExample reads "site NAME: REPLY", or REPLY alone.
func readExample(line int, value string) example {
	if rest, ok := strings.CutPrefix(value, "site "); ok {
		if site, reply, ok := strings.Cut(rest, ": "); ok {
			return example{line, site, reply}
		}
	}
	return example{line, "", value}
}

// complete reports what a paragraph lacks.
func (r *rule) complete() error {
	switch r.kind {
	case anOff:
		return nil
	case aWords:
		if r.says == "" {
			return faulty(r.line, "words %s has no says", r.id)
		}
		return nil
	}
	switch {
	case r.class == "":
		return faulty(r.line, "%s %s has no class", r.kind, r.id)
	case r.when == "" && r.says == "":
		return faulty(r.line, "%s %s has neither when nor says: it would decide every reply", r.kind, r.id)
	case r.near != "" && r.says == "":
		return faulty(r.line, "%s %s has near without says: near asks how far two phrases are apart", r.kind, r.id)
	case r.mark != "" && r.mark.on(r.class.Treatment()) == r.class.Treatment():
		return faulty(r.line, "%s %s: mark %s does not go with class %s", r.kind, r.id, r.mark, r.class)
	case !isDated(r.source):
		return faulty(r.line, "%s %s: source says where the words are from and when, as in: source ticket 4711, 2026-11", r.kind, r.id)
	case len(r.examples) == 0:
		return faulty(r.line, "%s %s has no example: give a reply that it decides", r.kind, r.id)
	}
	return nil
}
