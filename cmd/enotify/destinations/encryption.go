package destinations

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/cmd/enotify/term"
	"enotify/queue"
	"enotify/queue/tlsreports"
	"enotify/sender"
	"enotify/sender/mtasts"
	"enotify/sender/tlsrpt"
)

// Encryption is how mail to a recipient domain is encrypted now, and why.
type Encryption struct {
	STS       *policy `json:"mta_sts"`       // nil: the domain has none
	STSError  string  `json:"mta_sts_error"` // why the one that it announces could not be had
	DANE      bool    `json:"dane"`          // a trusted DNS server was asked
	Validated bool    `json:"validated"`     // and signed DNS names the domain's hosts
	Hosts     []host  `json:"hosts"`
	Problem   string  `json:"problem"` // why nothing was found out

	Sessions []sessions `json:"sessions_today"`  // in UTC, by how TLS ended
	Report   *tlsReport `json:"last_tls_report"` // nil: none lately
}

// sessions are connections whose encryption ended alike.
type sessions struct {
	Policy string `json:"policy"` // sts, tlsa or no-policy-found
	Result string `json:"result"` // successful, or a failure in the words of RFC 8460
	Host   string `json:"host"`   // where it failed
	N      int64  `json:"sessions"`
}

type tlsReport struct {
	Day    string `json:"day"`
	Result string `json:"result"`
}

// counted reads how the sessions of a domain ended today, and the result of its
// latest report.
func (e *Encryption) counted(ctx context.Context, db *queue.DB, domain string) error {
	rows, err := tlsreports.Of(db).Results(ctx, domain, time.Time{})
	if err != nil {
		return err
	}
	e.Sessions = []sessions{}
	at := map[sessions]int{}
	for _, row := range rows {
		var p tlsrpt.Policy
		f := tlsrpt.Failure{Type: "successful"}
		if err := json.Unmarshal(row.Policy, &p); err != nil {
			return fmt.Errorf("TLS results of %s: %w", domain, err)
		}
		if row.Failure != nil {
			if err := json.Unmarshal(row.Failure, &f); err != nil {
				return fmt.Errorf("TLS results of %s: %w", domain, err)
			}
		}
		alike := sessions{Policy: p.Type, Result: f.Type, Host: f.MX}
		i, known := at[alike]
		if !known {
			i = len(e.Sessions)
			at[alike] = i
			e.Sessions = append(e.Sessions, alike)
		}
		e.Sessions[i].N += row.Sessions
	}
	last, err := tlsreports.Of(db).Last(ctx, domain)
	if err != nil || last == nil {
		return err
	}
	e.Report = &tlsReport{last.Day.Format(time.DateOnly), cmp.Or(last.Result, "under way")}
	return nil
}

type policy struct {
	ID        string    `json:"id"`
	Mode      string    `json:"mode"`
	MX        []string  `json:"mx"`
	FetchedAt time.Time `json:"fetched_at"`
	Until     time.Time `json:"until"`
}

type host struct {
	Name    string `json:"host"`
	TLS     string `json:"tls"`
	By      string `json:"by"` // dane, mta-sts or setting
	Why     string `json:"why"`
	Refused string `json:"refused"` // why the domain's mail may not go there
}

// lookUpFor is how long the DNS and the policy host are asked at most.
const lookUpFor = 5 * time.Second

// Explain finds out which encryption holds for a recipient domain, as the nodes
// do. Sites have none.
func (r *Report) Explain(ctx context.Context, db *queue.DB, mail *sender.Sender) error {
	if isSite(r.Name) || !strings.Contains(r.Name, ".") {
		return nil
	}
	e := &Encryption{Hosts: []host{}}
	if err := e.counted(ctx, db, r.Name); err != nil {
		return err
	}
	r.Encryption = e
	ctx, cancel := context.WithTimeout(ctx, lookUpFor)
	defer cancel()
	asked := sender.Opportunistic
	if i := slices.IndexFunc(r.Limits, func(l limit) bool { return l.What == "TLS" }); i >= 0 {
		if set, err := sender.ParseTLSPolicy(r.Limits[i].Value); err == nil {
			asked = set
		}
	}
	found, err := mail.ExplainTLS(ctx, r.Name, asked)
	e.DANE, e.Validated = mail.Resolver.DNSSEC, found.Validated
	if err != nil {
		e.Problem = err.Error()
		return nil
	}
	if p := found.STS.Policy; p.Mode != "" && p.Mode != mtasts.None {
		e.STS = &policy{found.STS.ID, string(p.Mode), p.MX, found.STS.FetchedAt, found.STS.Until()}
	}
	if found.STSError != nil {
		e.STSError = found.STSError.Error()
	}
	for _, h := range found.Hosts {
		e.Hosts = append(e.Hosts, host{h.Host, h.TLS.String(), h.By, h.Why, h.Refused})
	}
	return nil
}

func (e *Encryption) lay(p *term.Page, name string) {
	p.Heading("Encryption")
	defer e.layCounts(p)
	if e.Problem != "" {
		p.Line("The mail hosts of %s are not known: %s", name, term.Clip(e.Problem, 200))
		return
	}
	switch {
	case e.STS != nil:
		p.Line("MTA-STS: policy %s in mode %s, fetched at %s, holds until %s.", e.STS.ID, e.STS.Mode,
			figures.Clock(e.STS.FetchedAt), figures.Clock(e.STS.Until))
		if e.STS.Mode == string(mtasts.Testing) {
			p.Line("Failures are counted for the domain's report, and mail is sent anyway.")
		}
	case e.STSError == "":
		p.Line("MTA-STS: %s has no policy.", name)
	}
	if e.STSError != "" {
		p.Line("MTA-STS: the policy that is announced now could not be had: %s", term.Clip(e.STSError, 300))
	}
	switch {
	case !e.DANE:
		p.Line("DANE: not looked at; it takes --dnssec-resolver.")
	case !e.Validated:
		p.Line("DANE: the DNS of %s is not signed.", name)
	default:
		p.Line("DANE: signed DNS names the hosts of %s.", name)
	}
	var rows [][]string
	for _, h := range e.Hosts {
		tls := h.TLS
		if h.Refused != "" {
			tls = "no mail"
		}
		rows = append(rows, []string{h.Name, tls, h.Why})
	}
	p.Table([]string{"MAIL HOST", "TLS", "WHY"}, rows...)
}

func (e *Encryption) layCounts(p *term.Page) {
	if len(e.Sessions) > 0 {
		p.Line("")
		p.Line("Connections since 00:00 UTC:")
	}
	var rows [][]string
	for _, s := range e.Sessions {
		rows = append(rows, []string{figures.Count(int(s.N)), s.Result, s.Policy, s.Host})
	}
	if rows != nil {
		p.Table([]string{"CONNECTIONS", "RESULT", "POLICY", "MAIL HOST"}, rows...)
	}
	if e.Report != nil {
		p.Line("The report on TLS for %s: %s.", e.Report.Day, term.Clip(e.Report.Result, 200))
	}
}
