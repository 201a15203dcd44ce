package sender

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// providers are the sites that serve many domains, by the suffix of their MX
// hosts. They are named as the limits in package throttle are.
var providers = []struct{ suffix, site string }{
	{".google.com", "google"},
	{".googlemail.com", "google"},
	{".yahoodns.net", "yahoo"},
	{".olc.protection.outlook.com", "outlook"},
	{".mail.protection.outlook.com", "office365"},
	{".mx.microsoft", "office365"},
	{".mail.icloud.com", "apple"},
	{".comcast.net", "comcast"},
	{".mimecast.com", "mimecast"},
	{".mimecast.co.za", "mimecast"},
	{".mimecast-offshore.com", "mimecast"},
	{".orange.fr", "orange"},
	{".gmx.net", "gmx"},
	{".web.de", "gmx"},
	{".yahoo.co.jp", "yahoo.co.jp"},
	{".qq.com", "qq"},
}

// siteOf names the site that a mail host belongs to: a provider, or else the
// registered domain of the host.
func siteOf(host string) string {
	host = strings.ToLower(host)
	for _, p := range providers {
		if strings.HasSuffix(host, p.suffix) {
			return p.site
		}
	}
	if registered, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return registered
	}
	return host
}
