package demo

import (
	"encoding/json"
	"fmt"
	"strings"

	"enotify/queue"
)

// A batch is what the application of the demo enqueues.
type batch struct {
	key                 string // idem_key; the screen calls the batch by it too
	from, fromName      string
	subject, text, html string
	priority            int
	recipients          []queue.Recipient
}

// The clients of the demo, and their SPF records. The second one still names
// the server that its mail used to come from.
const (
	goodClient = "council.example"
	goodRecord = "v=spf1 include:spf.hoster.example -all"
	badClient  = "bakery.example"
	badRecord  = "v=spf1 ip4:198.51.100.7 -all"
)

// unsubscribed was put on the suppression list before the demo begins.
const unsubscribed = "unsubscribed@" + acceptsDomain

const (
	newsletterText = `Dear {{.name}},

the swimming pool opens again on Monday, and the library now lends garden tools.
There is cake on both days.

Your council
`
	newsletterHTML = `<p>Dear {{.name}},</p>
<p>the <b>swimming pool</b> opens again on Monday, and the library now lends garden tools.
There is cake on both days.</p>
<p>Your council</p>
`
	offerText   = "Dear {{.name}},\n\ntwo rolls for the price of one, this week only.\n\nYour bakery\n"
	agendaText  = "Dear {{.name}},\n\nthe council meets on Tuesday at 19:00. On the agenda: the swimming pool; cake.\n"
	warningText = "{{.name}}, the river rises. Leave the ground floors in Quay Street now.\n"
)

// newsletter goes to every kind of receiver, and to some who are none. With
// size 1 it has the usual number of recipients.
func newsletter(size float64) batch {
	b := batch{
		key: "newsletter", from: "news@" + goodClient, fromName: "Council of Exampleton",
		subject: "{{.name}}, the pool opens again", text: newsletterText, html: newsletterHTML,
	}
	for _, district := range []string{"north.", "east.", "south.", "west."} {
		b.add(scaled(400, size), "", district+acceptsDomain)
	}
	b.recipients = append(b.recipients, b.recipients[:scaled(5, size)]...)
	b.add(scaled(225, size), "", limitedDomain)
	b.add(scaled(275, size), "", busyDomain)
	b.add(scaled(100, size), "", goneDomain)
	b.add(scaled(50, size), gonePrefix, goneDomain)
	b.add(scaled(150, size), "", greylistDomain)
	b.add(scaled(40, size), "", offlineDomain)
	for _, address := range []string{unsubscribed, "anna@@" + acceptsDomain, "bruno." + acceptsDomain} {
		b.recipients = append(b.recipients, queue.Recipient{Address: address, Data: named("Anna")})
	}
	return b
}

// bakeryOffer is from the client whose record does not let us send.
func bakeryOffer(size float64) batch {
	b := batch{
		key: "bakery-offer", from: "offers@" + badClient, fromName: "The Bakery",
		subject: "Two for one, {{.name}}", text: offerText,
	}
	b.add(scaled(300, size), "", "north."+acceptsDomain)
	return b
}

// agenda goes also to some addresses that the newsletter finds not to exist.
func agenda(size float64) batch {
	b := batch{key: "agenda", from: "clerk@" + goodClient, subject: "Agenda of Tuesday", text: agendaText}
	b.add(scaled(80, size), "", "east."+acceptsDomain)
	b.add(scaled(20, size), gonePrefix, goneDomain)
	return b
}

// floodWarning overtakes whatever is being sent.
func floodWarning(size float64) batch {
	b := batch{
		key: "flood-warning", from: "alarm@" + goodClient, priority: 10,
		subject: "Flood warning for Quay Street", text: warningText,
	}
	b.add(scaled(80, size), "", "south."+acceptsDomain)
	b.add(scaled(20, size), "", busyDomain)
	return b
}

var firstNames = []string{"Anna", "Bruno", "Chloe", "David", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jakub", "Karin",
	"Liam"}

// add makes up n recipients of a domain.
func (b *batch) add(n int, prefix, domain string) {
	for i := range n {
		name := firstNames[i%len(firstNames)]
		address := fmt.Sprintf("%s%s.%d@%s", prefix, strings.ToLower(name), i+1, domain)
		b.recipients = append(b.recipients, queue.Recipient{Address: address, Data: named(name)})
	}
}

func named(name string) json.RawMessage { return json.RawMessage(`{"name": "` + name + `"}`) }

func scaled(n int, size float64) int { return max(1, int(float64(n)*size)) }
