package spfguard

import (
	"fmt"
	"regexp"
	"strings"
)

// services are domains that well-known mail services tell their customers to
// include, from their documentation of 2025. They tell a service from a host,
// and a typing error from a service that is gone.
var services = []string{
	"_spf.google.com", "spf.protection.outlook.com", "amazonses.com", "sendgrid.net", "mailgun.org",
	"servers.mcsv.net", "spf.mandrillapp.com", "spf.mailjet.com", "spf.sendinblue.com", "spf.brevo.com",
	"_spf.salesforce.com", "mail.zendesk.com", "zoho.com", "zoho.eu", "zohomail.com", "spf.mtasv.net",
	"sparkpostmail.com", "spf.messagelabs.com", "spf.messagingengine.com", "_spf.protonmail.ch",
	"_spf.mx.cloudflare.net", "secureserver.net", "emailsrvr.com", "_spf.kundenserver.de", "_spf.perfora.net",
	"mx.ovh.com", "spf.ess.barracudanetworks.com", "_spf.yandex.net", "_spf.mail.ru",
	"spf.constantcontact.com", "mktomail.com", "_spf.elasticemail.com", "_spf.createsend.com",
	"email.freshdesk.com", "relay.mailchannels.net", "spf.mailcontrol.com", "_netblocks.mimecast.com",
	"eu._netblocks.mimecast.com", "us._netblocks.mimecast.com", "spf.infomaniak.ch", "icloud.com",
	"websitewelcome.com", "spf.hes.trendmicro.com", "_spf.mlsend.com", "spf.smtp2go.com",
	"_spf.hostedemail.com", "spf.antispameurope.com", "spf.privateemail.com", "spf.intermedia.net",
	"agenturserver.de", "spf.crsend.com",
}

// serviceName is a first label that names an SPF record, not a host.
var serviceName = regexp.MustCompile(`(?i)^(_[a-z0-9_-]+|[a-z0-9_-]*spf[a-z0-9_-]*|_?netblocks\d*)$`)

// likelyKind is the mechanism that a name was probably meant with.
func likelyKind(name string, like Kind) Kind {
	label, _, _ := strings.Cut(name, ".")
	switch {
	case isService(name) || serviceName.MatchString(label):
		return Include
	case like == Include || like == MX || like == A:
		return like
	}
	return A
}

func isService(name string) bool {
	for _, s := range services {
		if strings.EqualFold(s, name) {
			return true
		}
	}
	return false
}

// serviceNear is the service whose name looks most like name, or "".
func serviceNear(name string) string {
	name = lower(name)
	best, least := "", 3
	for _, s := range services {
		if d := distance(name, s); d < least && s != name {
			best, least = s, d
		}
	}
	if best == "" {
		for _, s := range services {
			if len(name) > 4 && (strings.HasSuffix(s, "."+name) || strings.HasPrefix(s, name+".")) {
				return s // google.com or _spf.google for _spf.google.com
			}
		}
	}
	return best
}

// plainHost takes off a name what belongs to a link, an e-mail address, a port
// or a list: scheme, path, user, brackets, stray dots.
func plainHost(s string) string {
	if _, after, ok := strings.Cut(s, "://"); ok {
		s = after
	}
	s = s[strings.LastIndexByte(s, '@')+1:]
	s = strings.TrimLeft(s, `:=/\.[]<>(){} `)
	s, _, _ = strings.Cut(s, "/")
	s, _, _ = strings.Cut(s, `\`)
	if head, port, ok := strings.Cut(s, ":"); ok && strings.Trim(port, "0123456789") == "" {
		s = head
	}
	s = strings.TrimRight(s, `:=.[]<>(){}-_!`)
	for strings.Contains(s, "..") {
		s = strings.ReplaceAll(s, "..", ".")
	}
	return ASCII(s)
}

// guessNamed repairs the argument of a mechanism or modifier that takes a
// domain. rule and message, when given, are a fault that was found before.
func (x *examination) guessNamed(rule, message string, kind Kind, qualifier, arg, why string) guess {
	fault := func(r, m string) (string, string) {
		if rule != "" {
			return rule, message
		}
		return r, m
	}
	write := func(arg string) string {
		if kind.Modifier() {
			return string(kind) + "=" + arg
		}
		return qualifier + string(kind) + ":" + arg
	}
	r, m := fault("domain.odd", why)
	if t, bad := parseTerm(write(arg)); bad == "" && odd(&t) == "" {
		return sure(r, m, write(arg))
	}
	if net, ok := network(strings.Trim(arg, "<>[](){}:=")); ok {
		r, m := fault("ip.host", fmt.Sprintf("%s: takes a name, not an address", kind))
		return sure(r, m, qualifier+net)
	}
	if inner := lower(nameOf(arg)); len(inner) < len(arg) && arg[len(inner)] != '/' &&
		(isMechanism(inner) || isKnown(inner)) &&
		inner != string(All) {
		r, m := fault("doubled", fmt.Sprintf("%s: is followed by another mechanism", kind))
		return x.guess(qualifier+arg, "").because(r, m)
	}
	host := plainHost(arg)
	bits := ""
	if kind == A || kind == MX {
		bits = bitsOf(arg)
	}
	switch {
	case host == "" && (kind == A || kind == MX) && strings.Trim(arg, ":=") == "":
		r, m := fault("domain.odd", fmt.Sprintf("the domain after %q is missing", string(kind)+":"))
		return sure(r, m, qualifier+string(kind))
	case host == "" && (kind == A || kind == MX) && strings.HasPrefix(arg, "/"):
		return x.guessBits(qualifier, kind, "", arg)
	case host == "":
		r, m := fault("domain.odd", fmt.Sprintf("the domain after %q is missing", write("")))
		return doubt(r, m, fmt.Sprintf("Which domain was to stand after %q?", write("")))
	case strings.Contains(arg, "%"):
		r, m := fault("macro", why)
		return doubt(r, m,
			fmt.Sprintf("Which name was meant by %q? A macro is written %%{d}, and a percent sign %%%%.", arg))
	case !strings.Contains(host, "."):
		return x.guessLabel(rule, message, write, kind, host)
	}
	if (kind == A || kind == MX) && bits == "" && !strings.Contains(arg, "://") {
		if _, tail, ok := strings.Cut(arg, "/"); ok && strings.Trim(tail, "/0123456789") == "" &&
			strings.Trim(tail, "/") != "" {
			return x.guessBits(qualifier, kind, host, "/"+tail)
		}
	}
	if t, bad := parseTerm(write(host + bits)); bad == "" && odd(&t) == "" {
		if rule == "" && (kind == Include || kind == Exists || kind == PTR) && strings.Contains(arg, "/") &&
			!strings.Contains(arg, "://") {
			m = fmt.Sprintf("%s: takes no prefix length", kind)
		}
		return sure(r, m, write(host+bits))
	}
	return doubt(r, m, fmt.Sprintf("Which domain was meant by %q?", arg))
}

// guessLabel is for a name of one label.
func (x *examination) guessLabel(rule, message string, write func(string) string, kind Kind, label string) guess {
	why := fmt.Sprintf("%q is a single label: write the whole domain name", label)
	if rule == "" {
		rule, message = "label.single", why
	} else {
		message += "; " + why
	}
	if x.domain != "" && (kind == A || kind == MX) && isTopLabel(label) {
		whole := label + "." + x.domain
		return guess{
			rule:    rule,
			message: message,
			found:   []candidate{{text: write(whole), name: whole, qualifier: qualifierOf(write("")[:1])}},
		}
	}
	if !isTopLabel(label) {
		return doubt(rule, message, askAbout(write(label)))
	}
	for _, s := range services {
		if strings.Contains("."+s, "."+label+".") {
			return doubt(rule, message, fmt.Sprintf("Which service is %q? Was %q meant?", label, write(s)))
		}
	}
	return doubt(rule, message, askAbout(write(label)))
}

// bitsOf is the valid prefix length at the end of an argument, with its slashes.
func bitsOf(arg string) string {
	i := strings.IndexByte(arg, '/')
	if i < 0 || strings.Contains(arg, "://") {
		return ""
	}
	var t Term
	if rest, why := parseDualCIDR(&t, arg[i:]); rest != "" || why != "" {
		return ""
	}
	return arg[i:]
}

// guessBits repairs the prefix length of a or mx.
func (x *examination) guessBits(qualifier string, kind Kind, host, bits string) guess {
	text := qualifier + string(kind)
	if host != "" {
		text += ":" + host
	}
	n := strings.TrimLeft(strings.Trim(bits, "/ "), "0")
	message := fmt.Sprintf("%q is no prefix length of an IPv4 network", n)
	switch n {
	case "48", "52", "56", "60", "64", "96", "112", "128":
		return sure("cidr", message+", and with one slash it is none of IPv6", text+"//"+n)
	}
	if bitsOf("/"+n) != "" {
		return sure("cidr", message, text+"/"+n)
	}
	return doubt(
		"cidr",
		message,
		fmt.Sprintf("Which prefix length, 0 to 32, was meant by %q? Without one, %q names the address alone.", bits,
			text),
	)
}
