package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/recipients"
)

// ownInput is what somebody sends to the made-up internet in place of the
// demo's batches.
type ownInput struct {
	recipients, text, html string // files
	subject, from          string
}

func (in ownInput) given() bool { return in.recipients != "" || in.text != "" || in.html != "" }

// batch reads the files. All recipients are held in memory: it is a demo.
func (in ownInput) batch() (b demoBatch, err error) {
	switch {
	case in.recipients == "":
		return b, exit.Usagef("--text and --html go with --recipients FILE.csv")
	case in.text == "" && in.html == "":
		return b, exit.Usagef("--recipients goes with --text FILE or --html FILE, or both")
	}
	b = demoBatch{key: "your-input", from: in.from, subject: in.subject}
	if b.text, err = readBody(in.text); err != nil {
		return b, err
	}
	if b.html, err = readBody(in.html); err != nil {
		return b, err
	}
	f, err := os.Open(in.recipients)
	if err != nil {
		return b, err
	}
	defer f.Close()
	csv, err := recipients.NewCSV(f, in.recipients)
	if err != nil {
		return b, err
	}
	for _, part := range []string{b.subject, b.text, b.html} {
		for _, field := range recipients.MergeFields(part) {
			if !csv.Fills(field) {
				return b, fmt.Errorf("{{.%s}} is to be filled in, but %s has no column of that name", field, in.recipients)
			}
		}
	}
	for {
		r, err := csv.Next()
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
		b.recipients = append(b.recipients, r)
	}
}

func readBody(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	content, err := os.ReadFile(file)
	return string(content), err
}
