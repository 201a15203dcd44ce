package main

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Ways to paint, by the numbers of ECMA-48 §8.3.117.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// tones are the words that are worth a colour wherever they fill a cell.
var tones = map[string]string{
	"sending": cyan, "draining": cyan,
	"done": green, "pass": green, "balances": green,
	"paused": yellow, "retrying": yellow, "softfail": yellow, "temperror": yellow,
	"blocked": red, "fail": red, "permerror": red, "VIOLATED": red,
}

func (p *page) paint(text, how string) string {
	if !p.colour || how == "" {
		return text
	}
	return "\x1b[" + how + "m" + text + "\x1b[0m"
}

// table prints rows in columns under a header, or without one. Unlike
// text/tabwriter it puts numbers to the right, and knows that colours take no
// room.
func (p *page) table(header []string, rows ...[]string) {
	var width []int
	var right []bool
	for _, row := range rows {
		for i, cell := range row {
			if i == len(width) {
				width, right = append(width, 0), append(right, true)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
			right[i] = right[i] && numeric(cell)
		}
	}
	for i, title := range header {
		if i < len(width) {
			width[i] = max(width[i], utf8.RuneCountInString(title))
		} else {
			width, right = append(width, utf8.RuneCountInString(title)), append(right, false)
		}
	}
	line := func(cells []string, tone func(string) string) {
		var b strings.Builder
		for i, cell := range cells {
			space := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if right[i] {
				b.WriteString(space)
			}
			b.WriteString(p.paint(cell, tone(cell)))
			if !right[i] {
				b.WriteString(space)
			}
			b.WriteString("  ")
		}
		p.line("%s", strings.TrimRight(b.String(), " "))
	}
	if header != nil {
		line(header, func(string) string { return bold })
	}
	for _, row := range rows {
		line(row, func(cell string) string { return tones[cell] })
	}
}

// numeric reports whether a cell holds a count, or nothing.
func numeric(cell string) bool {
	return strings.TrimFunc(cell, func(r rune) bool { return unicode.IsDigit(r) || r == ',' || r == '%' }) == ""
}
