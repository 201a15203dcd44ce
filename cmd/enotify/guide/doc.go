// Package guide holds the operator's guide: one Markdown page per task, read in
// the repository and by enotify help TOPIC.
//
// The commands on a page are run by the test of cmd/enotify that is named TestGuidePages,
// in make check; guide/development.md says how a page marks its code.
package guide
