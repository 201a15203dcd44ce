package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"enotify/cmd/enotify/figures"
)

// freemail are providers whose own domains nobody else may send from: their
// DMARC policies forbid it, or their terms do.
var freemail = []string{
	"aol.com", "bluewin.ch", "free.fr", "gmail.com", "gmx.at", "gmx.ch", "gmx.com", "gmx.de", "gmx.net",
	"googlemail.com", "hotmail.com", "hotmail.de",
	"hotmail.fr", "icloud.com", "laposte.net", "libero.it", "live.com", "mac.com", "mail.com", "mail.ru", "me.com",
	"msn.com", "orange.fr", "outlook.com",
	"outlook.de", "outlook.fr", "proton.me", "protonmail.com", "qq.com", "t-online.de", "wanadoo.fr", "web.de",
	"yahoo.co.jp", "yahoo.co.uk", "yahoo.com",
	"yahoo.de", "yahoo.fr", "yandex.ru", "ymail.com", "163.com",
}

func checkFrom(ctx context.Context, in *Input) []Finding {
	f := Finding{ID: "hdr.from", Severity: Pass}
	if slices.Contains(freemail, strings.ToLower(in.Client)) {
		f.Severity = Block
		f.Found = fmt.Sprintf("%s belongs to a mail provider, which forbids others to send in its name.", in.Client)
		f.Advice = "Send from a domain of the client's own, and name the address at the provider as reply-to."
		return []Finding{f}
	}
	hosts, null, err := in.takesMail(ctx, in.Client)
	switch {
	case err != nil:
		return []Finding{unsure(f.ID, err)}
	case len(hosts) == 0:
		f.Severity = Block
		f.Found = fmt.Sprintf("%s has neither MX nor address records: receivers refuse mail from a domain that cannot be answered.", in.Client)
		if null {
			f.Found = fmt.Sprintf("%s declares that it takes no mail (null MX); receivers refuse mail from it (RFC 7505 §4.2).", in.Client)
			f.Evidence = []string{in.Client + ". IN MX 0 ."}
		}
		f.Fix = []string{fmt.Sprintf("%s. IN MX 10 mail.%s.", in.Client, in.Client)}
		f.Advice = "The line is an example: name the host that takes the client's mail."
	default:
		f.Found = fmt.Sprintf("%s takes mail at %s.", in.Client, figures.Few(hosts, 3))
	}
	return []Finding{f}
}
