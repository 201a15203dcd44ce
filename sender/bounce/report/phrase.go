package report

import (
	_ "embed"
	"regexp"
	"strings"
	"sync"
)

// A phrase is a section of phrases.txt: patterns that mean the same.
type phrase string

const (
	undeliveredWords phrase = "undelivered"
	delayedWords     phrase = "delayed"
	givenUp          phrase = "given up"
	timedOut         phrase = "timed out"
	vacationWords    phrase = "vacation"
	challengeWords   phrase = "challenge"
	helpDesk         phrase = "help desk"
	sureChallenge    phrase = "sure challenge"
)

//go:embed phrases.txt
var phrasesFile string

// phrases compiles the sections when the first mail is read: that takes some
// milliseconds, which other commands do not spend.
var phrases = sync.OnceValue(func() map[phrase]*regexp.Regexp {
	patterns := map[phrase][]string{}
	var section phrase
	for line := range strings.Lines(phrasesFile) {
		switch line = strings.TrimSuffix(line, "\n"); {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = phrase(line[1 : len(line)-1])
		default:
			patterns[section] = append(patterns[section], line)
		}
	}
	compiled := make(map[phrase]*regexp.Regexp, len(patterns))
	for section, all := range patterns {
		compiled[section] = regexp.MustCompile(`(?i)` + strings.Join(all, "|"))
	}
	return compiled
})

// in reports whether text has words of the phrase.
func (p phrase) in(text string) bool { return phrases()[p].MatchString(text) }
