package queue

import (
	"net/url"
	"strings"
)

// As is who works with a database, beside its login: a person at the command line,
// or a node. The log of batches names them.
type As struct {
	Person string
	Node   string
}

// maxApplicationName is how many octets PostgreSQL keeps of an application_name.
const maxApplicationName = 63

// applicationName tells the function note_batch who it is. PostgreSQL keeps only
// ASCII of it: other octets are escaped as in a URL. A name that is too long is cut.
func (a As) applicationName() string {
	kind, name := " by ", a.Person
	switch {
	case a.Node != "":
		kind, name = " node ", a.Node
	case a.Person == "":
		return "enotify"
	}
	text := "enotify" + kind
	for _, r := range name {
		more := string(r)
		if r <= ' ' || r > '~' || r == '%' {
			more = url.PathEscape(more)
		}
		if len(text)+len(more) > maxApplicationName {
			break
		}
		text += more
	}
	return text
}

// Unescaped returns a name as it was given to [As].
func Unescaped(name string) string {
	if plain, err := url.PathUnescape(name); err == nil {
		return strings.ToValidUTF8(plain, "\uFFFD")
	}
	return name
}
