package main

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"enotify/spfguard"
)

// converse asks for what the flags of spf build say, and again where an
// answer cannot be used.
func (p *spfPlan) converse(r io.Reader, w io.Writer) error {
	t := &talk{in: bufio.NewScanner(r), out: w}
	if p.domain == "" {
		p.domain = t.ask("For which domain?", "", func(s string) bool { return strings.Contains(s, ".") })
	}
	p.mx = t.yes("May the hosts that receive mail for " + p.domain + " (MX) also send for it?")
	p.a = t.yes("May the address of " + p.domain + " itself send?")
	p.networks = t.list("Which other addresses or networks may send? (as 192.0.2.1 or 192.0.2.0/24)", func(s string) bool {
		_, err := spfguard.ParseNetwork(s)
		return err == nil
	})
	p.hosts = t.list("Which other hosts may send? (names)", isName)
	p.includes = t.list("Which services may send, by the domain of their own SPF record?", isName)
	p.all = t.ask("What shall happen to everyone else: fail, softfail or neutral?", "softfail", func(s string) bool {
		return s == "fail" || s == "softfail" || s == "neutral"
	})
	return t.err()
}

func isName(s string) bool {
	_, err := netip.ParseAddr(s)
	return err != nil && strings.Contains(s, ".") && !strings.ContainsAny(s, " /:@")
}

// A talk is questions to w and answers from a terminal.
type talk struct {
	in    *bufio.Scanner
	out   io.Writer
	ended bool
}

// ask repeats the question until the answer is good or the input ends; an
// empty answer stands for fallback.
func (t *talk) ask(question, fallback string, good func(string) bool) string {
	for {
		fmt.Fprint(t.out, question)
		if fallback != "" {
			fmt.Fprintf(t.out, " [%s]", fallback)
		}
		fmt.Fprint(t.out, " ")
		if !t.in.Scan() {
			t.ended = true
			return fallback
		}
		answer := strings.TrimSpace(t.in.Text())
		if answer == "" {
			answer = fallback
		}
		if good(answer) {
			return answer
		}
		fmt.Fprintf(t.out, "%q is not what is asked for.\n", answer)
	}
}

func (t *talk) yes(question string) bool {
	answer := t.ask(question, "no", func(s string) bool {
		return strings.EqualFold(s, "yes") || strings.EqualFold(s, "no") || strings.EqualFold(s, "y") || strings.EqualFold(s, "n")
	})
	return strings.HasPrefix(strings.ToLower(answer), "y")
}

// list takes answers separated by commas or spaces; none is an answer too.
func (t *talk) list(question string, good func(string) bool) []string {
	answer := t.ask(question, "none", func(s string) bool {
		for _, part := range words(s) {
			if !good(part) {
				return false
			}
		}
		return true
	})
	return words(answer)
}

func words(s string) []string {
	if s == "none" {
		return nil
	}
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
}

func (t *talk) err() error {
	if t.ended {
		return fmt.Errorf("the answers ended before the questions did")
	}
	return nil
}
