package demo

import (
	"errors"
	"fmt"
	"io"
	"os"

	"enotify/cmd/enotify/exit"
	"enotify/cmd/enotify/recipients"
)

// Input is what somebody sends to the made-up internet in place of the demo's
// batches.
type Input struct {
	Recipients, Text, HTML string // files
	Subject, From          string
}

func (in Input) given() bool { return in.Recipients != "" || in.Text != "" || in.HTML != "" }

// read reads the files. All recipients are held in memory: it is a demo.
func (in Input) read() (b batch, err error) {
	switch {
	case in.Recipients == "":
		return b, exit.Usagef("--text and --html go with --recipients FILE.csv")
	case in.Text == "" && in.HTML == "":
		return b, exit.Usagef("--recipients goes with --text FILE or --html FILE, or both")
	}
	b = batch{key: "your-input", from: in.From, subject: in.Subject}
	if b.text, err = readBody(in.Text); err != nil {
		return b, err
	}
	if b.html, err = readBody(in.HTML); err != nil {
		return b, err
	}
	f, err := os.Open(in.Recipients)
	if err != nil {
		return b, err
	}
	defer f.Close()
	csv, err := recipients.NewCSV(f, in.Recipients)
	if err != nil {
		return b, err
	}
	for _, part := range []string{b.subject, b.text, b.html} {
		for _, field := range recipients.MergeFields(part) {
			if !csv.Fills(field) {
				return b, fmt.Errorf("{{.%s}} is to be filled in, but %s has no column of that name", field,
					in.Recipients)
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
