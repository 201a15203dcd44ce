package term

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrNoTerminal is what [Confirm] returns where nobody can be asked.
var ErrNoTerminal = errors.New("there is no terminal to ask at")

// Confirm asks a question on out and returns nil if the answer on in is yes.
func Confirm(in io.Reader, out io.Writer, question string) error {
	if !IsTerminal(in) {
		return ErrNoTerminal
	}
	fmt.Fprintf(out, "%s [y/N] ", Visible(question))
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && answer == "" {
		return errors.New("no answer; nothing was changed")
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was changed")
}
