package main

import (
	_ "embed"
	"html/template"
	"io"

	"enotify/cmd/enotify/figures"
)

//go:embed bounce_report.html
var bounceReportHTML string

//go:embed bounce_report.css
var bounceReportCSS string

var bounceReportPage = template.Must(template.New("bounce report").Funcs(template.FuncMap{
	"count": figures.Count, "some": figures.Some, "share": portion, "clock": figures.Clock,
	// width is that of a bar in a drawing 100 wide; something is always to be seen of what is there.
	"width": func(n, of int) float64 {
		if n == 0 || of == 0 {
			return 0
		}
		return max(0.6, 100*float64(n)/float64(of))
	},
	"main": func(i int) bool { return i < mainSegments },
}).Parse(bounceReportHTML))

// html writes the report as one page: no script, and nothing from elsewhere.
func (r *bounceReport) html(w io.Writer) error {
	return bounceReportPage.Execute(w, struct {
		*bounceReport
		Style template.CSS
		Scope string
	}{r, template.CSS(bounceReportCSS), r.scope()})
}
