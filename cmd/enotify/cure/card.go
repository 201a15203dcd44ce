package cure

import (
	_ "embed" // the card
	"html/template"
	"strings"

	"enotify/cmd/enotify/page"
)

//go:embed card.html
var cardText string

var card = page.New("cure", cardText, nil)

// Card shows the link, or why there is none, and the forms of a plan; link may be nil and
// why "". A plan without changes shows nothing.
func (p Plan) Card(link *Link, why string) (template.HTML, error) {
	if len(p.Changes) == 0 {
		return "", nil
	}
	type form struct{ Name, Text string }
	var b strings.Builder
	err := card.ExecuteTemplate(&b, "cure", struct {
		Link  *Link
		Why   string
		Forms []form
	}{link, strings.TrimSuffix(why, "."),
		[]form{{"nsupdate (RFC 2136)", p.NSUpdate()}, {"Zone file", p.ZoneFile()},
			{"Terraform, provider hashicorp/dns", p.Terraform()}}})
	return template.HTML(b.String()), err
}
