package term

import (
	"fmt"
	"strconv"
	"strings"
)

// Painted text may control the terminal: it is ours, or went through [Visible]
// before it was painted.
type Painted string

// Visible returns text from outside (replies of receivers, DNS records, names
// that a client chose) as a terminal may show it: control characters and those
// that reorder a line (Unicode Standard Annex 9) or cannot be seen are written
// as Go writes them in a string literal.
func Visible(text string) string {
	clean := true
	for _, r := range text {
		if clean = strconv.IsPrint(r) && r != '\ufffd'; !clean {
			break
		}
	}
	if clean {
		return text
	}
	quoted := strconv.Quote(text)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// Sprintf is fmt.Sprintf with all strings and errors made [Visible], except
// what is [Painted].
func Sprintf(format string, args ...any) string {
	safe := make([]any, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case string:
			safe[i] = Visible(v)
		case error:
			safe[i] = Visible(v.Error())
		default:
			safe[i] = arg
		}
	}
	return fmt.Sprintf(format, safe...)
}
