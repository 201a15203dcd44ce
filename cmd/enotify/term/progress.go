package term

import (
	"fmt"
	"io"
	"time"
)

// Progress is a line on a terminal that says what is being done, and is
// overwritten by the next. Where there is no terminal it shows nothing.
type Progress struct {
	w     io.Writer // nil: no terminal
	shown bool
	last  time.Time
}

// NewProgress returns a progress line on w.
func NewProgress(w io.Writer) *Progress {
	if !IsTerminal(w) {
		return &Progress{}
	}
	return &Progress{w: w}
}

// progressEvery is the time between two of its states, at least.
const progressEvery = 100 * time.Millisecond

// Say shows what is being done, unless it has shown something just before.
func (p *Progress) Say(format string, args ...any) {
	if p.w == nil || time.Since(p.last) < progressEvery {
		return
	}
	p.last, p.shown = time.Now(), true
	fmt.Fprintf(p.w, "\r\x1b[K%s …", Clip(fmt.Sprintf(format, args...), 76))
}

// End takes the line away.
func (p *Progress) End() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
