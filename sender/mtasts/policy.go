package mtasts

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Mode says what a policy asks of senders (RFC 8461 §5).
type Mode string

// The modes.
const (
	Enforce Mode = "enforce" // no mail to a host that does not meet the policy
	Testing Mode = "testing" // failures are reported and have no effect
	None    Mode = "none"    // there is no policy any more
)

// A Policy is what a domain asks (RFC 8461 §3.2).
type Policy struct {
	Mode   Mode
	MX     []string // names of mail hosts, in lower case; "*." stands for one label
	MaxAge time.Duration
}

// maxMaxAge is the most that max_age may be (RFC 8461 §3.2).
const maxMaxAge = 31557600 * time.Second

// ParsePolicy reads the text of a policy. Fields that are not known are skipped,
// and of those that may stand only once the first one counts.
func ParsePolicy(text string) (Policy, error) {
	var p Policy
	seen := map[string]bool{}
	for _, line := range strings.Split(text, "\n") {
		if line = strings.Trim(line, " \t\r"); line == "" {
			continue
		}
		name, value, isField := strings.Cut(line, ":")
		name, value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
		if !isField {
			return Policy{}, fmt.Errorf("the line %q has no colon", line)
		}
		if name != "mx" && seen[name] {
			continue
		}
		seen[name] = true
		switch name {
		case "version":
			if value != "STSv1" {
				return Policy{}, fmt.Errorf("version %q, where STSv1 is known", value)
			}
		case "mode":
			p.Mode = Mode(value)
		case "mx":
			p.MX = append(p.MX, strings.ToLower(strings.TrimSuffix(value, ".")))
		case "max_age":
			seconds, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return Policy{}, fmt.Errorf("max_age %q is no number of seconds", value)
			}
			p.MaxAge = min(time.Duration(seconds)*time.Second, maxMaxAge)
		}
	}
	switch {
	case !seen["version"]:
		return Policy{}, errors.New("it has no version")
	case p.Mode != Enforce && p.Mode != Testing && p.Mode != None:
		return Policy{}, fmt.Errorf("mode %q is none of enforce, testing and none", p.Mode)
	case !seen["max_age"]:
		return Policy{}, errors.New("it has no max_age")
	case p.Mode != None && len(p.MX) == 0:
		return Policy{}, errors.New("it names no mail host (mx)")
	}
	return p, nil
}

// Matches reports whether a mail host is among those of the policy (RFC 8461
// §4.1).
func (p Policy) Matches(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	_, parent, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(p.MX, func(pattern string) bool {
		if above, isWild := strings.CutPrefix(pattern, "*."); isWild {
			return parent != "" && parent == above
		}
		return pattern == host
	})
}

// Text is the policy as a domain would publish it.
func (p Policy) Text() []string {
	lines := []string{"version: STSv1", "mode: " + string(p.Mode)}
	for _, mx := range p.MX {
		lines = append(lines, "mx: "+mx)
	}
	return append(lines, fmt.Sprintf("max_age: %d", int(p.MaxAge.Seconds())))
}

// recordID is the id in the TXT records of _mta-sts; "" when no policy is
// announced: none of them is a record of MTA-STS, or more than one is (RFC 8461
// §3.1).
func recordID(records []string) string {
	id := ""
	for _, text := range records {
		version, rest, _ := strings.Cut(text, ";")
		if strings.TrimRight(version, " \t") != "v=STSv1" {
			continue
		}
		if id != "" {
			return ""
		}
		for _, field := range strings.Split(rest, ";") {
			if name, value, _ := strings.Cut(strings.Trim(field, " \t"), "="); name == "id" && isID(value) {
				id = value
			}
		}
	}
	return id
}

func isID(s string) bool {
	return len(s) > 0 && len(s) <= 32 && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}
