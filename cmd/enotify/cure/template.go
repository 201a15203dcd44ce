package cure

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
)

// Groups of the template: a link names the groups that a client needs.
const (
	groupSPF    = "spf"
	groupDKIM   = "dkim"
	groupDMARC  = "dmarc"
	groupBounce = "bounce"
)

// A serviceTemplate is what DNS providers register for a service.
type serviceTemplate struct {
	ProviderID       string           `json:"providerId"`
	ProviderName     string           `json:"providerName"`
	ServiceID        string           `json:"serviceId"`
	ServiceName      string           `json:"serviceName"`
	Version          int              `json:"version"`
	Description      string           `json:"description"`
	Variables        string           `json:"variableDescription"`
	SyncPubKeyDomain string           `json:"syncPubKeyDomain"`
	Records          []templateRecord `json:"records"`
}

type templateRecord struct {
	Group    string `json:"groupId"`
	Type     string `json:"type"`
	Host     string `json:"host"`
	Rules    string `json:"spfRules,omitempty"`
	Data     string `json:"data,omitempty"`
	PointsTo string `json:"pointsTo,omitempty"`
	Priority int    `json:"priority,omitempty"`
	TTL      int    `json:"ttl,omitempty"`
	Conflict string `json:"txtConflictMatchingMode,omitempty"`
	Prefix   string `json:"txtConflictMatchingPrefix,omitempty"`
}

// Template is the service template as a file ready to be registered with DNS providers, as
// github.com/Domain-Connect/Templates has them: PROVIDER.SERVICE.json.
func (c *Connector) Template() ([]byte, error) {
	return json.MarshalIndent(serviceTemplate{
		ProviderID: c.Provider, ProviderName: c.Provider, ServiceID: c.Service, ServiceName: "Notifications",
		Version: 1, SyncPubKeyDomain: c.Provider,
		Description: "Lets " + c.Provider + " send notifications for the domain",
		Variables:   "spfrules: terms of SPF that list the servers; dkimhost, dkim: name and public key; dmarc: policy; bouncehost, bouncemx: where bounces go",
		Records: []templateRecord{
			{Group: groupSPF, Type: "SPFM", Host: "@", Rules: "%spfrules%"},
			{Group: groupDKIM, Type: "TXT", Host: "%dkimhost%", Data: "%dkim%", TTL: ttl, Conflict: "Prefix",
				Prefix: "v=DKIM1"},
			{Group: groupDMARC, Type: "TXT", Host: "_dmarc", Data: "%dmarc%", TTL: ttl, Conflict: "Prefix",
				Prefix: "v=DMARC1"},
			{Group: groupBounce, Type: "MX", Host: "%bouncehost%", PointsTo: "%bouncemx%", Priority: 10, TTL: ttl},
		},
	}, "", "  ")
}

// KeyRecord is the zone line with the public half of the key, by which a provider verifies
// links.
func (c *Connector) KeyRecord() (Record, error) {
	der, err := x509.MarshalPKIXPublicKey(&c.Key.PublicKey)
	if err != nil {
		return Record{}, err
	}
	return Record{Zone: c.Provider, Name: c.KeyHost + "." + c.Provider, Type: "TXT", Value: "p=1,a=RS256,d=" +
		base64.StdEncoding.EncodeToString(der)}, nil
}
