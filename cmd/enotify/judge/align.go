package judge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"enotify/cmd/enotify/dmarc"
	"enotify/queue"
	"enotify/spfguard"
)

// A Proof is one of the two ways to show that the From: domain sends the mail
// (RFC 9989 §4.4).
type Proof struct {
	Aligned bool   // its domain speaks for the From: domain
	Passes  bool   // of DKIM: a key is published, so that the signature can verify
	Says    string // about the proof, as part of a sentence
	Err     error  // temporary: the DNS could not say
}

// Holds reports whether the proof counts.
func (p Proof) Holds() bool { return p.Aligned && p.Passes }

// Proofs are what speaks for the From: domain, and the policy that receivers
// apply when nothing does.
type Proofs struct {
	SPF    Proof   // whether it passes differs between egress addresses; see Passes
	DKIM   []Proof // one for each signing domain; none: the mail is not signed
	Passes []bool  // whether SPF passes and is aligned, for each egress address

	Found     dmarc.Found // record that applies
	HasRecord bool
	Walk      []dmarc.Found
	Policy    string // none, quarantine or reject; "" without a record
	Err       error  // temporary: the policy could not be found

	unknown bool       // this program does not know which keys sign
	broken  []KeyState // keys whose signature no receiver can verify
}

// prove finds which of the proofs hold, and the policy.
func (j *Judge) prove(ctx context.Context, m Mail, spf []spfguard.Verdict) Proofs {
	p := Proofs{unknown: m.KeysUnknown}
	sender := m.Client
	if len(spf) > 0 {
		sender = spf[0].Domain
	}
	p.Walk, p.Err = j.walk(ctx, m.Client)
	p.Found, p.HasRecord = dmarc.Policy(m.Client, p.Walk)
	if p.HasRecord && p.Err == nil {
		exists := true
		if p.Found.Domain != m.Client && p.Found.Record.NonExistent != "" {
			exists, p.Err = j.exists(ctx, m.Client)
		}
		p.Policy = p.Found.For(m.Client, exists)
	}
	p.SPF = j.proof(ctx, m, p, "SPF", sender, p.Found.Record.SPF)
	for _, v := range spf {
		passes := v.Result == spfguard.Pass
		p.SPF.Passes = p.SPF.Passes || passes
		p.Passes = append(p.Passes, passes && p.SPF.Aligned)
	}
	for _, domain := range Signers(m.Keys) {
		proof := j.proof(ctx, m, p, "DKIM", domain, p.Found.Record.DKIM)
		for _, k := range m.Keys {
			if k.Domain != domain {
				continue
			}
			state, err := j.Examine(ctx, k)
			switch {
			case err != nil:
				proof.Err = err
			case state.Unusable:
				p.broken = append(p.broken, state)
			default:
				proof.Passes = true
			}
		}
		if !proof.Passes && proof.Err == nil && proof.Aligned {
			proof.Says = fmt.Sprintf("DKIM by %s cannot be verified", domain)
		}
		p.DKIM = append(p.DKIM, proof)
	}
	return p
}

// proof is a proof of a domain, as far as its name goes.
func (j *Judge) proof(ctx context.Context, m Mail, p Proofs, what, domain, mode string) Proof {
	if strings.EqualFold(domain, m.Client) {
		return Proof{Aligned: true, Says: what + " by " + domain}
	}
	err, org := p.Err, ""
	if err == nil {
		var its []dmarc.Found
		its, err = j.walk(ctx, domain)
		org = dmarc.Organizational(domain, its)
	}
	switch {
	case err != nil:
		return Proof{Err: err, Says: fmt.Sprintf("whether %s by %s counts could not be found out", what, domain)}
	case dmarc.Aligned(m.Client, domain, dmarc.Organizational(m.Client, p.Walk), org, mode):
		return Proof{Aligned: true, Says: what + " by " + domain}
	}
	return Proof{Says: fmt.Sprintf("%s proves %s, which is not %s", what, domain, m.Client)}
}

// Signed reports whether a signature counts.
func (p *Proofs) Signed() bool {
	for _, d := range p.DKIM {
		if d.Holds() {
			return true
		}
	}
	return false
}

// Undecided is the error that left open whether a proof holds for an egress address; nil
// when that is known.
func (p *Proofs) Undecided(spf spfguard.Verdict) error {
	if spf.Result == spfguard.TempError && (p.SPF.Aligned || p.SPF.Err != nil) {
		return spf.Err
	}
	if spf.Result == spfguard.Pass && p.SPF.Err != nil {
		return p.SPF.Err
	}
	for _, d := range p.DKIM {
		if d.Err != nil {
			return d.Err
		}
	}
	if p.unknown {
		return ErrUnknownKeys
	}
	return nil
}

// ErrUnknownKeys says that the keys that sign are not visible here.
var ErrUnknownKeys = errors.New("which keys sign the mail is not known here; name their directory with --dkim-dir")

// verdict is the verdict of DMARC on an egress address. said is false where a proof
// holds, which makes the policy irrelevant, or where there is no policy.
func (p *Proofs) verdict(m Mail, spf spfguard.Verdict, i int) (v queue.Verdict, said bool) {
	if p.Passes[i] || p.Signed() {
		return v, false
	}
	v = queue.Verdict{Identity: DMARC, Domain: m.Client, Result: string(spfguard.TempError),
		Record: p.Found.Record.Text}
	if p.Err != nil {
		v.Explanation = fmt.Sprintf("The DMARC policy of %s could not be found: %v.", m.Client, p.Err)
		return v, true
	}
	if p.Policy == "" || p.Policy == "none" {
		return v, false
	}
	if err := p.Undecided(spf); err != nil {
		v.Explanation = fmt.Sprintf("Nobody could say whether SPF or DKIM proves %s, whose DMARC policy is %s: %v.",
			m.Client, p.Policy, err)
		return v, true
	}
	v.Result, v.Blocks = fail, p.Policy == "reject"
	effect := "receivers put the mail into the spam folder"
	if v.Blocks {
		effect = "receivers refuse the mail"
	}
	v.Explanation = fmt.Sprintf("DMARC: the policy of %s is %s, and nothing proves that %s sends this mail: %s. So %s.",
		p.Found.Domain, p.Policy, m.Client, p.whyNot(spf), effect)
	return v, true
}

// whyNot says for each proof why it does not hold, as part of a sentence.
func (p *Proofs) whyNot(spf spfguard.Verdict) string {
	var why []string
	switch {
	case !p.SPF.Aligned:
		why = append(why, p.SPF.Says)
	default:
		why = append(why, fmt.Sprintf("SPF for %s from %s is %s", spf.Domain, spf.IP, spf.Result))
	}
	switch {
	case len(p.broken) > 0:
		for _, k := range p.broken {
			why = append(why, lowerFirst(strings.TrimSuffix(k.Said, ".")))
		}
	case len(p.DKIM) == 0:
		why = append(why, "no DKIM key signs it")
	default:
		for _, d := range p.DKIM {
			why = append(why, d.Says)
		}
	}
	return strings.Join(why, "; ")
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
