package page

import (
	"regexp"
	"strings"
)

// A run is a part of a text. A term is not broken across lines where a line has room
// for it: browsers would break "--ip", "ip4:192.0.2.1" and "v=spf1" at their marks.
type run struct {
	Text       string
	Term, Code bool
}

// Class is that of a term in the style sheet.
func (r run) Class() string {
	if len(r.Text) <= shortTerm {
		return "k"
	}
	return "w"
}

// shortTerm is what fits into every line, in octets.
const shortTerm = 24

// command is one of ours within running text: the noun, the verb, and what looks like an
// argument rather than like the next word of the sentence.
var command = regexp.MustCompile(`\benotify (?:audit|batch|bounce|client|console|destination|doctor|egress|events?|forget|help|migrate|node|preflight|run|spf|suppression|webhook)\b` +
	`(?: (?:add|audit|build|cancel|check|create|edit|explain|export|fix|import|key|lint|list|pause|requeue|reset|resume|rm|set|show|submit|test|watch|zone|report|ingest)\b)?` +
	`(?: (?:--[a-z-]+(?: [^-\s;,.()](?:[^\s;,()]*[^\s;,.()])?)?|[A-Z*0-9][A-Z0-9*]*\b|[a-z0-9-]+(?:\.[a-z0-9-]+)+))*`)

// runs are the parts of running text: words, terms, and commands of ours.
func runs(text string) []run {
	var out []run
	for text != "" {
		at := command.FindStringIndex(text)
		if at == nil {
			return append(out, words(text)...)
		}
		out = append(out, words(text[:at[0]])...)
		out = append(out, run{Text: text[at[0]:at[1]], Code: true})
		text = text[at[1]:]
	}
	return out
}

// words parts a text at its spaces.
func words(text string) []run {
	var out []run
	plain := 0 // where the words began that need no care
	at := 0
	for at < len(text) {
		end := strings.IndexAny(text[at:], " \n")
		if end < 0 {
			end = len(text) - at
		}
		if word := text[at : at+end]; strings.ContainsAny(strings.TrimRight(word, ".,:;!?)"), "-:=/_.@") &&
			len(word) > 2 {
			if plain < at {
				out = append(out, run{Text: text[plain:at]})
			}
			out = append(out, run{Text: word, Term: true})
			plain = at + end
		}
		at += end + 1
	}
	if plain < len(text) {
		out = append(out, run{Text: text[plain:]})
	}
	return out
}

var (
	aside    = regexp.MustCompile(` ?\([^()]*\benotify [a-z][^()]*\)`)
	sentence = regexp.MustCompile(`[^.!?]*(?:[.!?][^\s.!?][^.!?]*)*[.!?]?\s*`)
)

// ForClients is a text without commands of ours, which a client cannot run: asides that
// name one go, and then sentences.
func ForClients(text string) string {
	text = aside.ReplaceAllString(text, "")
	if !command.MatchString(text) {
		return strings.ReplaceAll(text, "enotify sends", "we send")
	}
	var kept strings.Builder
	for _, s := range sentence.FindAllString(text, -1) {
		if !command.MatchString(s) {
			kept.WriteString(s)
		}
	}
	return strings.TrimSpace(kept.String())
}
