package bounce_test

import (
	"strings"
	"testing"

	"enotify/queue"
	"enotify/sender/bounce"
)

// A reply gives up the address that it names, and no other.
func TestNamedAddress(t *testing.T) {
	t.Parallel()
	about := bounce.About{Recipient: "Ada.B+news@mail.example.net", Ours: []string{"news@town.example", "town.example"}}
	for _, tt := range []struct {
		text  string
		doubt string // "" is that the address is given up
	}{
		{"User unknown", ""},
		{"<ada.b+news@mail.example.net>: User unknown", ""},
		{"<ADA.B@MAIL.EXAMPLE.NET>... User unknown", ""},
		{"ada.b@mx1.mail.example.net: User unknown", ""}, // a host of the domain
		{"ada.b@example.net: User unknown", ""},          // the domain above it
		{"No such user: ada.b@mail.example.net. Write to bob@mail.example.net", ""},
		{"User unknown, ask postmaster@example.net", ""},
		{"User unknown, see help@x.example or abuse@x.example", ""},
		{"<bob@mail.example.net>: User unknown", "names-another"},
		{"<ada.b@other.example>: User unknown", "names-another"},
		{"<ada.b@notmail.example.org>: User unknown", "names-another"},
		{"<news@town.example>: User unknown", "names-ours"},
		{"<b-1-fidq-abcdefgh@bounce.village.example>: User unknown", "names-ours"}, // of the form of our return paths
		{"User unknown at town.example", "names-our-domain"},
		{"User unknown at notown.example", ""},
		{"User unknown @", ""},
		{strings.Repeat("a", 1000) + "@x.example: User unknown", ""}, // no address
	} {
		x := bounce.Rules{}.Explain(queue.Reply{Code: 550, Enhanced: "5.1.1", Text: tt.text}, about)
		if x.Doubt != tt.doubt || (x.Class == queue.NoSuchUser) != (tt.doubt == "") {
			t.Errorf("%q: got %s, doubt %q, want doubt %q", tt.text, x.Class, x.Doubt, tt.doubt)
		}
	}
	own := bounce.About{Recipient: "ada@town.example", Ours: []string{"news@town.example", "town.example"}}
	if v := (bounce.Rules{}).Classify(bounce.Parse("550 5.1.1 No such user at town.example"),
		own); v.Class != queue.NoSuchUser {
		t.Errorf("a recipient of the client's own domain: got %s, want no_such_user", v.Class)
	}
}
