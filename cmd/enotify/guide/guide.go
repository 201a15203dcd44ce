package guide

import (
	"embed"
	"strings"
)

//go:embed *.md
var pages embed.FS

// A Topic is one page.
type Topic struct {
	Name  string // the file's name without .md; also the argument of enotify help
	Title string // the page's heading
}

// order is the order in which the topics are listed. Every page is named here.
var order = []string{
	"first-campaign", "before-a-campaign", "going-live", "sql", "http", "messages", "batches", "ready", "events",
	"spf-blocks", "slow-site", "bad-addresses", "replies", "bounces", "receivers", "dkim", "tls", "unsubscribe",
	"limits", "windows", "smarthost", "check-up", "monitoring", "web-console", "privacy", "dead-node", "failover",
	"databases", "upgrade",
	"addresses", "systemd", "containers", "settings", "speed", "development",
}

// Topics lists all pages in the order in which they should be read.
func Topics() []Topic {
	topics := make([]Topic, len(order))
	for i, name := range order {
		text, _ := Page(name)
		title, _, _ := strings.Cut(text, "\n")
		topics[i] = Topic{Name: name, Title: strings.TrimPrefix(title, "# ")}
	}
	return topics
}

// Page returns the Markdown text of a topic.
func Page(name string) (text string, ok bool) {
	octets, err := pages.ReadFile(name + ".md")
	return string(octets), err == nil
}
