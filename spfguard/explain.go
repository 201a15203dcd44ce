package spfguard

import (
	"errors"
	"fmt"
	"strings"

	"enotify/spfguard/dns"
)

// Explain says in one sentence what the result is and why, for someone who is
// woken by it.
func (ev *Evaluation) Explain() string {
	ip := ev.Query.IP.Unmap()
	switch ev.Result {
	case TempError:
		return fmt.Sprintf("The DNS could not say whether %s may send for %s: %v.%s", ip, ev.Domain, ev.Err,
			fault(ev.Err))
	case PermError:
		return fmt.Sprintf("Receivers cannot interpret the SPF of %s: %s.", ev.Domain,
			strings.TrimPrefix(ev.Err.Error(), ev.Domain+": "))
	case None:
		if ev.Err != nil {
			return fmt.Sprintf("There is nothing to check: %v.", ev.Err)
		}
		if ev.Root.Absent {
			return fmt.Sprintf(
				"%s does not exist (NXDOMAIN), and receivers refuse mail from such a domain: is the name mistyped?",
				ev.Domain)
		}
		return fmt.Sprintf("%s has no SPF record, so nothing says that %s may send for it.", ev.Domain, ip)
	}
	text := fmt.Sprintf("%s %s.", ev.statement(), ev.reason())
	if ev.Explanation != "" {
		text += fmt.Sprintf(" Receivers are asked to say: %s", ev.Explanation)
	}
	return text
}

// fault says in a sentence whose DNS caused a temporary error.
func fault(err error) string {
	var failure *dns.FailureError
	if !errors.As(err, &failure) {
		return ""
	}
	switch failure.Fault() {
	case dns.TheirDNS:
		return fmt.Sprintf(
			" That is a fault in the DNS of %s: receivers see it too, and put mail off. Its owner has to repair it.",
			failure.Name)
	case dns.OurResolver:
		return fmt.Sprintf(" That is a fault between us and our DNS server %s, and says nothing about %s.",
			failure.Server, failure.Name)
	default:
		return fmt.Sprintf(" Either our DNS server %s or the name servers of %s do not answer.", failure.Server,
			failure.Name)
	}
}

// statement is what the domain says about the address.
func (ev *Evaluation) statement() string {
	ip := ev.Query.IP.Unmap()
	switch ev.Result {
	case Pass:
		return fmt.Sprintf("%s authorises %s:", ev.Domain, ip)
	case Fail:
		return fmt.Sprintf("%s forbids %s to send for it, and receivers will refuse the mail:", ev.Domain, ip)
	case SoftFail:
		return fmt.Sprintf("%s doubts that %s may send for it, and receivers may treat the mail as spam:",
			ev.Domain, ip)
	default:
		return fmt.Sprintf("%s says neither yes nor no about %s:", ev.Domain, ip)
	}
}

// reason names the term that decided and the way to it.
func (ev *Evaluation) reason() string {
	path := ev.Path()
	n := path[len(path)-1]
	where := "its record"
	if len(path) > 1 {
		where = "the record of " + n.Domain + " (by " + strings.Join(ev.Way(), ", ") + ")"
	}
	st := n.Decided()
	switch {
	case st == nil:
		return fmt.Sprintf("%s ends without a term that matches", where)
	case st.Term.Kind == All && n.triedBefore():
		return fmt.Sprintf("no term before %q in %s covers the address", st.Term.Text, where)
	case st.Term.Kind == All:
		return fmt.Sprintf("%q in %s covers every address", st.Term.Text, where)
	default:
		return fmt.Sprintf("%q in %s covers the address", st.Term.Text, where)
	}
}

// triedBefore reports whether the node tried mechanisms before its all.
func (n *Node) triedBefore() bool {
	for i := range n.Steps[:n.last] {
		if !n.Steps[i].Term.Kind.Modifier() {
			return true
		}
	}
	return false
}

// Way returns the include and redirect terms that lead to the term that
// decided, as written.
func (ev *Evaluation) Way() []string {
	var way []string
	path := ev.Path()
	for _, n := range path[:len(path)-1] {
		way = append(way, n.Decided().Term.Text)
	}
	return way
}
