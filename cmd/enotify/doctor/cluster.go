package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"enotify/cmd/enotify/figures"
	"enotify/queue"
	"enotify/queue/insight"
)

// shown is how many things a finding names; it counts the others.
const shown = 5

// cluster looks at the nodes, dead and alive.
func (p *patient) cluster(ctx context.Context) (found []Finding) {
	f := Finding{ID: "nodes.alive"}
	nodes, err := p.db.Nodes(ctx)
	if err != nil {
		return []Finding{f.worse(Problem, "The nodes could not be listed: "+err.Error()+".")}
	}
	p.nodes = nodes
	var names, versions []string
	count := map[string]int{}
	for _, n := range nodes {
		names = append(names, fmt.Sprintf("%s (%d of 64 groups, heard %.1f s ago)", n.Name, n.Groups,
			n.Heartbeat.Seconds()))
		if count[n.Name]++; count[n.Name] == 2 {
			found = append(found, Finding{ID: "nodes.names"}.worse(Warning,
				fmt.Sprintf("Two nodes are called %s: logs and lists cannot tell them apart.", n.Name),
				"give each its own enotify run --node NAME"))
		}
		if !slices.Contains(versions, n.Version) {
			versions = append(versions, n.Version)
		}
		const late = 2500 * time.Millisecond // a node is heard once a second, and dead after queue.LeaseTTL
		if n.Heartbeat > late {
			found = append(found, Finding{ID: "nodes.late"}.worse(Warning,
				fmt.Sprintf("Node %s was last heard %.1f s ago; after %d s without a word the others take over.",
					n.Name, n.Heartbeat.Seconds(), int(queue.LeaseTTL.Seconds()))))
		}
	}
	switch {
	case len(nodes) == 0:
		found = append(found, f.worse(Problem, "No node is running: nothing is sent.",
			"enotify run --egress IP --helo NAME"))
	case len(versions) > 1:
		found = append(found, f.worse(Warning, "The nodes run different versions: "+strings.Join(versions, ", ")+".",
			"restart the older ones with the new program: enotify help upgrade"))
	default:
		found = append(found, f.worse(Fine, figures.Few(names, shown)+"."))
	}
	return append(found, p.silent(ctx)...)
}

// silent looks for nodes that died and did not come back.
func (p *patient) silent(ctx context.Context) []Finding {
	gone, err := p.db.SilentNodes(ctx)
	if err != nil || len(gone) == 0 {
		return nil
	}
	var names []string
	for _, g := range gone {
		names = append(names, fmt.Sprintf("%s (%s ago)", g.Name, figures.Span(time.Since(g.LastHeard))))
	}
	return []Finding{Finding{ID: "nodes.silent"}.worse(Note,
		"Nodes that ended without a word, and when they were last heard: "+figures.Few(names, shown)+
			". What they had under way is in doubt until a node reads their journals.",
		"start a node on the same host with the same --state-dir: enotify help dead-node")}
}

// clients looks for clients whose batches would not be sent.
func (p *patient) clients(ctx context.Context) (found []Finding) {
	f := Finding{ID: "clients.blocked"}
	states, err := insight.Of(p.db).ClientStates(ctx)
	if err != nil {
		return []Finding{f.worse(Note, "The clients could not be read: "+err.Error()+".")}
	}
	var blocked, cures, refused, unchecked []string
	for _, c := range states {
		switch {
		case c.Blocks:
			blocked = append(blocked, fmt.Sprintf("%s (%s)", c.Domain, c.Result))
			if len(cures) < shown {
				cures = append(cures, "enotify client check "+c.Domain)
			}
		case c.RefusedAt != nil:
			refused = append(refused, c.Domain)
		case c.Result == "":
			unchecked = append(unchecked, c.Domain)
		}
	}
	if len(blocked) > 0 {
		found = append(found, f.worse(Warning,
			fmt.Sprintf("The DNS of %s of %d forbids our servers, and their batches do not leave: %s.",
				figures.Some(len(blocked), "client"), len(states), figures.Few(blocked, shown)), cures...))
	}
	if len(refused) > 0 {
		found = append(found, Finding{ID: "clients.refused"}.worse(Warning, "Receivers refuse the mail of "+
			figures.Few(refused, shown)+
			" as not authorised, and their batches are held.", "enotify client show "+refused[0]))
	}
	switch {
	case len(states) == 0:
		found = append(found, f.worse(Note, "No client is registered.", "enotify client add DOMAIN --role LOGIN"))
	case len(found) > 0:
	case len(unchecked) == len(states):
		found = append(found, f.worse(Note,
			fmt.Sprintf("The guard has checked none of %s yet: a node checks them before the first batch.",
				figures.Some(len(states), "client")),
			"enotify client check "+unchecked[0]))
	default:
		found = append(found, f.worse(Fine, fmt.Sprintf("No client of %d is blocked.", len(states))))
	}
	return found
}
