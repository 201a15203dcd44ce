package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/node"
	"enotify/queue"
	"enotify/spfguard/dns"
)

// bouncesOf is what client set says of bounces; nil is nothing.
func bouncesOf(mode, domain string) (*queue.Bounces, error) {
	switch {
	case mode == "" && domain == "":
		return nil, nil
	case mode != "" && domain != "":
		return nil, exit.Usagef("--bounce %s and --bounce-domain %s: give one of them", mode, domain)
	case domain != "":
		domain, err := node.ParseDomain("--bounce-domain", domain)
		return &queue.Bounces{Mode: queue.BounceOwn, Domain: domain}, err
	case mode == string(queue.BounceOff), mode == string(queue.BounceOperator):
		return &queue.Bounces{Mode: queue.BounceMode(mode)}, nil
	}
	return nil, exit.Usagef("--bounce %s: want operator or off; a domain of the client's own is --bounce-domain", mode)
}

// returnPathOf is the envelope sender of a client's mail in words.
func returnPathOf(c queue.Client) string {
	switch c.Bounce {
	case queue.BounceOwn:
		return "signed for each recipient, at " + c.BounceAt
	case queue.BounceOperator:
		return "signed for each recipient, at the domain of run --bounce-domain"
	}
	return cmp.Or(c.ReturnPath, "the From: address")
}

// bounces is the MX of the client's signed return paths (RFC 5321 §5.1).
func (z *zoneFile) bounces(ctx context.Context, c queue.Client) ([]zoneLine, error) {
	if c.Bounce != queue.BounceOwn {
		return nil, nil
	}
	l := zoneLine{Name: c.BounceAt, Type: "MX", Status: zonePublish, Why: "MX, brings bounces to enotify run --bounce-listen"}
	hosts := z.bounceHosts
	if len(hosts) == 0 {
		hosts = z.helo
	}
	if len(hosts) == 0 {
		l.Status, l.Why = zoneUnknown, "MX of the bounces: no node is live; say with --bounce-host which host listens for them"
		return []zoneLine{l}, nil
	}
	published, err := z.dns.MX(ctx, c.BounceAt)
	if err != nil && !errors.Is(err, dns.ErrNXDomain) && !errors.Is(err, dns.ErrNoData) {
		return nil, err
	}
	var lines []zoneLine
	var others []string
	for _, mx := range published.Records {
		if host := strings.ToLower(strings.TrimSuffix(mx.Host, ".")); !slices.Contains(hosts, host) {
			others = append(others, host)
		}
	}
	for _, host := range hosts {
		line := l
		line.Value = fmt.Sprintf("10 %s.", host)
		switch {
		case slices.ContainsFunc(published.Records, func(mx dns.MX) bool { return strings.EqualFold(strings.TrimSuffix(mx.Host, "."), host) }):
			line.Status, line.Why = zoneRight, "MX, already brings bounces here"
		case len(others) > 0:
			line.Status, line.Why = zoneChange, fmt.Sprintf("%s, in place of %s", l.Why, strings.Join(others, ", "))
		}
		lines = append(lines, line)
	}
	return lines, nil
}
