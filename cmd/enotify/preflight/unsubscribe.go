package preflight

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// OneClick is our own page behind the List-Unsubscribe field (RFC 8058).
type OneClick struct {
	Known   string // address that would unsubscribe somebody; "" when there is nobody yet
	Unknown string // address of a recipient that does not exist
	Says    string // what is in our page, whatever its language
	Untried string // why there is no Known
	// Acted reports whether the recipient of Known is unsubscribed by now, and
	// was not before.
	Acted   func(ctx context.Context) (bool, error)
	Client  *http.Client // nil is one that takes at most 10 s
	Trouble error        // why no address could be signed
}

// checkUnsubscribe is about the address behind the header.
func checkUnsubscribe(ctx context.Context, in *Input) []Finding {
	f := Finding{ID: "unsub.works", Severity: NotChecked}
	switch {
	case in.Batch.ListUnsubscribe != "":
		f.Found = "The address is not one of ours; trying it would unsubscribe a reader."
		f.Advice = "Try it by hand with an address of your own: a GET must show a page and change nothing, since link scanners follow links; a POST must unsubscribe at once."
		f.Evidence = []string{strings.TrimSpace(in.Batch.ListUnsubscribe)}
	case in.OneClick == nil:
		f.Severity, f.Found = Info, "There is no address to unsubscribe at; with --public-url, as enotify run has it, there is."
	case in.OneClick.Trouble != nil:
		return []Finding{unsure(f.ID, in.OneClick.Trouble)}
	default:
		return []Finding{in.OneClick.try(ctx, f)}
	}
	return []Finding{f}
}

// try follows the link of a real recipient, as scanners do, and posts to one
// that nobody has.
func (o *OneClick) try(ctx context.Context, f Finding) Finding {
	if o.Known != "" {
		status, _, err := o.ask(ctx, http.MethodGet, o.Known)
		if err != nil {
			return unsure(f.ID, err)
		}
		f.Evidence = append(f.Evidence, fmt.Sprintf("GET, for a recipient of an earlier batch: %d", status))
		acted, err := o.Acted(ctx)
		switch {
		case err != nil:
			return unsure(f.ID, err)
		case acted:
			f.Severity, f.Found = Warn, "Opening the page unsubscribes the reader at once: a link scanner takes people off the list who want the mail."
			return f
		case status != http.StatusOK:
			f.Severity, f.Found = Warn, fmt.Sprintf("The page answers %d; a reader who clicks cannot unsubscribe.",
				status)
			f.Advice = "See that the web server in front passes /u/ on to enotify run --listen."
			return f
		}
	}
	status, body, err := o.ask(ctx, http.MethodPost, o.Unknown)
	if err != nil {
		return unsure(f.ID, err)
	}
	f.Evidence = append(f.Evidence, fmt.Sprintf("POST, for nobody: %d", status))
	if status != http.StatusNotFound {
		f.Severity, f.Found = Warn, fmt.Sprintf("A POST is answered with %d, where our page says 404 of a recipient that does not exist: mail programs cannot unsubscribe.", status)
		f.Advice = "See that the web server in front passes POST /u/ on to enotify run --listen, without redirecting it."
		return f
	}
	if !strings.Contains(body, o.Says) {
		f.Severity, f.Found = Warn, "A POST is answered with 404, but by another page than ours: mail programs cannot unsubscribe."
		f.Advice = "See that the web server in front passes /u/ on to enotify run --listen, under the path of --public-url."
		return f
	}
	f.Severity, f.Found = Pass, "The page answers; to look at it changes nothing, and a POST reaches it."
	if o.Known == "" {
		f.Found = "The page is ours, and a POST reaches it."
		f.Evidence = append(f.Evidence, "not tried: "+o.Untried)
	}
	return f
}

// maxPage is what is read of an answer, in octets.
const maxPage = 1 << 20

// ask makes one request, and follows no redirect (RFC 8058 §3.1).
func (o *OneClick) ask(ctx context.Context, method, url string) (status int, body string, err error) {
	client := o.Client
	if client == nil {
		client = &http.Client{Timeout: 10 * time.Second}
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	var form io.Reader
	if method == http.MethodPost {
		form = strings.NewReader("List-Unsubscribe=One-Click")
	}
	r, err := http.NewRequestWithContext(ctx, method, url, form)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("User-Agent", "enotify-preflight")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(io.LimitReader(answer.Body, maxPage))
	return answer.StatusCode, string(page), err
}
