package cure

import (
	"fmt"
	"strings"

	"enotify/spfguard"
)

// ttl of the records that the forms write, in seconds.
const ttl = 3600

// text is the record in the presentation format of RFC 1035 §5.1, after its type.
func (r Record) text(value string) string {
	if r.Type == "MX" {
		return fmt.Sprintf("%d %s.", r.Priority, value)
	}
	_, quoted, _ := strings.Cut(spfguard.ZoneLine(r.Name, value), " IN TXT ")
	return quoted
}

// NSUpdate is a script for nsupdate (RFC 2136): one update for each zone.
func (p Plan) NSUpdate() string {
	var b strings.Builder
	b.WriteString("; nsupdate -k KEYFILE < this file\n")
	zone := ""
	for _, c := range p.Changes {
		if c.Zone != zone {
			if zone != "" {
				b.WriteString("send\n")
			}
			zone = c.Zone
			fmt.Fprintf(&b, "zone %s\n", zone)
		}
		for _, old := range c.Delete {
			fmt.Fprintf(&b, "update delete %s. TXT %s\n", c.Name, c.text(old))
		}
		fmt.Fprintf(&b, "update add %s. %d %s %s\n", c.Name, ttl, c.Type, c.text(c.Value))
	}
	if zone != "" {
		b.WriteString("send\n")
	}
	return b.String()
}

// ZoneFile is the lines for a zone file; replaced records are comments.
func (p Plan) ZoneFile() string {
	var b strings.Builder
	for _, c := range p.Changes {
		for _, old := range c.Delete {
			fmt.Fprintf(&b, "; delete: %s. IN TXT %s\n", c.Name, c.text(old))
		}
		fmt.Fprintf(&b, "%s. %d IN %s %s\n", c.Name, ttl, c.Type, c.text(c.Value))
	}
	return b.String()
}

// Terraform is resources of the provider hashicorp/dns, which sets all records of a name
// and type: those that stay are repeated.
func (p Plan) Terraform() string {
	var b strings.Builder
	for i, c := range p.Changes {
		host := c.Host()
		name := ""
		if host != "@" {
			name = fmt.Sprintf("  name = %s\n", hcl(host))
		}
		fmt.Fprintf(&b, "resource \"dns_%s_record_set\" \"enotify_%d\" {\n  zone = %s\n%s", strings.ToLower(c.Type),
			i+1, hcl(c.Zone+"."), name)
		if c.Type == "MX" {
			fmt.Fprintf(&b, "  mx {\n    preference = %d\n    exchange   = %s\n  }\n", c.Priority, hcl(c.Value+"."))
		} else {
			fmt.Fprintf(&b, "  txt = [\n")
			for _, text := range append([]string{c.Value}, c.Keep...) {
				fmt.Fprintf(&b, "    %s,\n", hcl(text))
			}
			b.WriteString("  ]\n")
		}
		fmt.Fprintf(&b, "  ttl = %d\n}\n", ttl)
	}
	return b.String()
}

// hcl is a string of Terraform's language.
func hcl(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "${", "$${", "%{", "%%{").Replace(text) + `"`
}
