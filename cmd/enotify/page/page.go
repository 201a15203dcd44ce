// Package page is the look of every page that enotify makes: the reports, the page
// of a client, the console, the page behind the unsubscribe link. There is one
// style sheet, and one layout whose parts the templates of the pages call.
package page

import (
	"crypto/sha256"
	_ "embed" // the style and the layout
	"encoding/base64"
	"html/template"
)

//go:embed page.css
var style string

//go:embed layout.html
var layout string

// Style is the style sheet of a page, whatever else the page adds to it.
func Style(more string) template.CSS { return template.CSS(style + more) }

// A Top is the head of a page.
type Top struct {
	Lang, Title string
	Style       template.CSS
	Policy      string // within the page, for one that is opened from disk
}

// Disk is the head of a page that opens from disk: nothing runs in it, and nothing
// is loaded.
func Disk(title string) Top {
	return Top{Lang: "en", Title: title, Style: Style(""), Policy: "default-src 'none'; style-src " + hash(style)}
}

// Served is the head of a page whose header fields say what it may do, see [Policy].
func Served(lang, title string) Top { return Top{Lang: lang, Title: title, Style: Style("")} }

// Policy is the Content-Security-Policy of a served page: its own style, and what more
// allows.
func Policy(more string) string { return PolicyOf("", more) }

// PolicyOf is [Policy] for a page whose style has an addition.
func PolicyOf(addition, more string) string {
	p := "default-src 'none'; style-src " + hash(style+addition) + "; base-uri 'none'; frame-ancestors 'none'"
	if more != "" {
		p += "; " + more
	}
	return p
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// New parses the template of a page beside the parts of the layout: top, which takes a
// [Top]; icon, which takes a tone; text and line, which take a string.
func New(name, text string, functions template.FuncMap) *template.Template {
	t := template.New(name).Funcs(template.FuncMap{"runs": runs, "words": words})
	return template.Must(template.Must(t.Funcs(functions).Parse(layout)).Parse(text))
}
