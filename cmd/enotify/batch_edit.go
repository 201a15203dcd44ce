package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"enotify/cmd/enotify/exit"
	"enotify/queue"
	"enotify/sender/compose"
)

func (a *app) batchEditCmd() *cobra.Command {
	var subject, text, html string
	var filenames []string
	var replace func(ctx context.Context, db *queue.DB, batch int64) error
	cmd := a.batchVerb("edit", "Replace the subject or bodies of a batch that is not being sent",
		func(ctx context.Context, db *queue.DB, batch int64) error {
			return replace(ctx, db, batch)
		})
	cmd.Long = `Replaces the subject, the text or the HTML for all recipients that have not been
tried. A batch that was blocked because no message of it could be composed goes
back into the queue. A batch that is being sent must be paused first.

A FILE may be -, which is standard input, or none, which removes that body.`
	cmd.Example = `  enotify batch edit 42 --text agenda.txt
  enotify batch edit 42 --subject 'Agenda for {{.ward}}' --html none
  enotify batch edit 42 --filename agenda.pdf,map.png`
	f := cmd.Flags()
	f.StringVar(&subject, "subject", "", "`SUBJECT`, which may hold merge fields")
	f.StringVar(&text, "text", "", "`FILE` with the plain text, which may hold merge fields")
	f.StringVar(&html, "html", "", "`FILE` with the HTML, which may hold merge fields")
	f.StringSliceVar(&filenames, "filename", nil, "`NAME` of each attachment, in their order, separated by commas")
	replace = func(ctx context.Context, db *queue.DB, batch int64) error {
		var e queue.ContentEdit
		if f.Changed("subject") {
			e.Subject = &subject
		}
		if text == "-" && html == "-" {
			return exit.Usagef("only one file can be -, standard input")
		}
		for _, body := range []struct {
			file string
			to   **string
		}{{text, &e.Text}, {html, &e.HTML}} {
			content := ""
			var err error
			switch body.file {
			case "":
				continue
			case "none":
			default:
				if content, err = readText(body.file, a.stdin); err != nil {
					return err
				}
			}
			*body.to = &content
		}
		e.Filenames = filenames
		if e.Subject == nil && e.Text == nil && e.HTML == nil && e.Filenames == nil {
			return exit.Usagef("nothing to replace: give --subject, --text, --html or --filename")
		}
		b, err := db.Content(ctx, batch)
		if err != nil {
			return err
		}
		if err := compose.Check(edited(b, e)); err != nil {
			return fmt.Errorf("%w; batch %d stays as it was", err, batch)
		}
		return db.ReplaceContent(ctx, batch, e)
	}
	return cmd
}

// edited is b as it will be.
func edited(b *queue.Batch, e queue.ContentEdit) *queue.Batch {
	for _, part := range []struct {
		with *string
		to   *string
	}{{e.Subject, &b.Subject}, {e.Text, &b.Text}, {e.HTML, &b.HTML}} {
		if part.with != nil {
			*part.to = *part.with
		}
	}
	for i := range b.Attachments[:min(len(b.Attachments), len(e.Filenames))] {
		b.Attachments[i].Filename = e.Filenames[i]
	}
	return b
}
