// Package render writes a preflight report: as text for a terminal, as JSON for
// programs, and as a page of HTML with its charts. Each is a pure function of
// the report.
package render

import (
	"io"

	"enotify/cmd/enotify/preflight"
	"enotify/cmd/enotify/term"
)

// JSON writes a report for programs.
func JSON(w io.Writer, r *preflight.Report) error { return term.WriteJSON(w, r) }

// marks tell severities apart without colour.
var marks = map[preflight.Severity]string{
	preflight.Block: "BLOCK", preflight.Warn: "WARN", preflight.NotChecked: "NOT CHECKED", preflight.Info: "INFO",
	preflight.Pass: "PASS",
}
