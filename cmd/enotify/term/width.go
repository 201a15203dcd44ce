package term

import (
	"io"
	"os"
	"strconv"

	"github.com/clipperhouse/displaywidth"
	"golang.org/x/term"
)

// Width is how many columns of a terminal text takes: 2 for most characters of
// East Asia and for pictures, none for a combining accent (Unicode Standard Annexes
// 11 and 29).
func Width(text string) int { return displaywidth.String(text) }

// Columns is how wide w may be written: as the environment says with COLUMNS, else
// as wide as the terminal is. 0 is as wide as one likes.
func Columns(w io.Writer, getenv func(string) string) int {
	if n, err := strconv.Atoi(getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil {
			return n
		}
	}
	return 0
}

// Dumb reports whether the terminal obeys no control codes (terminfo(5)), or
// nobody says which terminal it is.
func Dumb(getenv func(string) string) bool {
	kind := getenv("TERM")
	return kind == "" || kind == "dumb"
}
