package bouncereport

import (
	_ "embed"
	"html/template"
	"io"

	"enotify/cmd/enotify/figures"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var page = template.Must(template.New("bounce report").Funcs(template.FuncMap{
	"count": figures.Count, "some": figures.Some, "share": portion, "clock": figures.Clock,
	// width is the width of a bar in a drawing 100 wide; a count above zero is always visible.
	"width": func(n, of int) float64 {
		if n == 0 || of == 0 {
			return 0
		}
		return max(0.6, 100*float64(n)/float64(of))
	},
	"main": func(i int) bool { return i < mainSegments },
}).Parse(pageHTML))

// HTML writes the report as one page: no script, and nothing from elsewhere.
func (r *Report) HTML(w io.Writer) error {
	return page.Execute(w, struct {
		*Report
		Style  template.CSS
		Scope  string
		Advice string
	}{r, template.CSS(pageCSS), r.scope(), complaintAdvice})
}
