package spfguard

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	// nearVersion is what people write for "v=spf1 ".
	nearVersion = regexp.MustCompile(`(?i)^[\s']*(v\s*[=:]*\s*)?spf\s*[=:]?\s*1\.?0?[;,:.|=]*`)
	// laterVersion finds a version behind other text.
	laterVersion = regexp.MustCompile(`(?i)(?:^|[\s"'=(:;,>-])(v\s*=\s*spf1)(?:$|[^0-9A-Za-z.])`)
	// senderID is the version of records that RFC 4406 asked for.
	senderID = regexp.MustCompile(`(?i)^\s*spf2\.0(/[a-z,]*)?`)
	// tornTerm is a term that names a sender, at the start of a text.
	tornTerm = regexp.MustCompile(`(?i)^\s*[-+~?]?(include:|ip4:|ip6:|exists:|(a|mx):\S|redirect=[a-z0-9_-]+\.)`)
	// otherRecord begins TXT records of other kinds.
	otherRecord = regexp.MustCompile(
		`(?i)^\s*"?(v=(dmarc|dkim|bimi|sts|tlsrpt)|[a-z0-9_-]*verif[a-z0-9_-]*=|ms=|k=rsa)`,
	)
	// namesSender finds a mechanism that names someone.
	namesSender = regexp.MustCompile(`(?i)\b(include|ip4|ip6|exists|a|mx|ptr)[:=]|\b[~+?-]all\b|\b(a|mx)\s`)
)

const versionRemedy = `begin with "v=spf1 ": anything else is not taken for an SPF record at all`

// readVersion returns where the terms begin.
func (x *examination) readVersion() int {
	if isSPF(x.text) {
		return len(version)
	}
	if m := laterVersion.FindStringSubmatchIndex(x.text); m != nil && m[2] > 0 &&
		!namesSender.MatchString(x.text[:m[2]]) &&
		strings.TrimSpace(x.text[:m[2]]) != "" {
		x.add(
			Error,
			"version.prefix",
			0,
			m[2],
			fmt.Sprintf("%q stands before the record", strings.TrimSpace(x.text[:m[2]])),
			`delete it: the value of the TXT record begins with "v=spf1 "`,
		)
		return m[3]
	}
	if m := senderID.FindString(x.text); m != "" {
		x.add(Error, "version.senderid", 0, len(m),
			fmt.Sprintf("%q is the version of Sender ID, which no one uses any more", m), versionRemedy)
		return len(m)
	}
	if n := len(version); len(x.text) > n && strings.EqualFold(x.text[:n], version) &&
		(isAlpha(x.text[n]) || strings.IndexByte("+-~?", x.text[n]) >= 0) {
		x.add(
			Error,
			"version.glued",
			0,
			n,
			`a space is missing after "v=spf1"`,
			fmt.Sprintf("write %q", version+" "+strings.TrimLeft(firstWord(x.text[n:]), " ")),
		)
		return n
	}
	if m := nearVersion.FindString(x.text); m != "" {
		x.add(Error, "version.misspelt", 0, len(m), fmt.Sprintf("%q is no version that receivers know", m),
			versionRemedy)
		return len(m)
	}
	if word := firstWord(x.text); looksLikeVersion(word) {
		at := strings.Index(x.text, word)
		x.add(Error, "version.misspelt", at, at+len(word),
			fmt.Sprintf("%q is no version that receivers know", word), versionRemedy)
		return at + len(word)
	}
	x.add(Error, "version.missing", 0, 0, "the version is missing", versionRemedy)
	return 0
}

func firstWord(s string) string {
	s = strings.TrimLeft(s, " ")
	if i := strings.IndexByte(s, ' '); i >= 0 {
		return s[:i]
	}
	return s
}

// looksLikeVersion holds for slips of the pen, such as v=spf, vspf1, v=sfp1
// and v=spfl, and not for the versions of other records, such as v=DKIM1.
func looksLikeVersion(word string) bool {
	word = lower(strings.Trim(word, `;,:.|()`))
	return len(word) >= 4 && strings.ContainsAny(word, "s") && distance(word, version) <= 2 && !isMechanism(word)
}

// looksMeant reports whether a TXT record that receivers do not take for an SPF
// record was meant as one: it names senders, and has an all or something like
// the version.
func looksMeant(text string) bool {
	if len(text) > maxMeant || otherRecord.MatchString(text) {
		return false
	}
	x := examine(text, "")
	var senders, all bool
	for _, t := range x.terms {
		all = all || t.Kind == All && t.Text != string(All)
		senders = senders || t.finding < 0 && !t.Kind.Modifier() && t.Kind != All || t.Kind == IP4 || t.Kind == IP6 ||
			t.Kind == Include
	}
	return all || (senders || len(x.doubts) > 0) && beginsAsVersion(x.text) ||
		strings.Contains(lower(x.text), version)
}

// maxMeant is the longest TXT record, in octets, that anyone can have written
// as an SPF record.
const maxMeant = 4096

// beginsAsVersion reports whether text begins with what was meant as v=spf1.
func beginsAsVersion(text string) bool {
	n := len(version)
	return nearVersion.MatchString(text) || looksLikeVersion(firstWord(text)) || senderID.MatchString(text) ||
		len(text) > n && strings.EqualFold(text[:n], version)
}

// looksTorn reports whether a TXT record without a version begins with an SPF
// term: then it is the second half of a record that was published in two.
func looksTorn(text string) bool { return tornTerm.MatchString(text) }
