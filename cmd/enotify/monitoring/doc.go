// Package monitoring holds what reads the metrics of a node: alert rules for
// Prometheus and a dashboard for Grafana. It has no code; its test (make check) puts
// every rule and every query of the dashboard to a Prometheus that scrapes a node.
package monitoring
