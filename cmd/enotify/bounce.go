package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"enotify/sender/bounce"
)

func (a *app) bounceCmd() *cobra.Command {
	return noun("bounce", "Reports, classes and records of refused mail", a.bounceReportCmd(), a.bounceClassifyCmd(), a.bounceIngestCmd(), a.bounceKeyCmd())
}

func (a *app) bounceClassifyCmd() *cobra.Command {
	return &cobra.Command{
		Use: "classify", Short: "Classify SMTP replies from standard input", Args: cobra.NoArgs,
		Long: `Reads SMTP replies from standard input, one per line, and answers each with one
line, in order: class, action and the rule that decided, separated by tabs, or
with -o json as an object. Lines of one reply may be joined by \n; quotes and
the prefixes of logs and delivery reports are understood.`,
		Example: "  echo '550 5.1.1 No such user' | enotify bounce classify -o json",
		RunE: func(*cobra.Command, []string) error {
			return classifyReplies(a.stdin, a.stdout, a.output == "json")
		},
	}
}

// maxReplyBytes is how much of a line is kept. A reply is decided by its first
// kilobytes; what follows in the same line is read and dropped.
const maxReplyBytes = 64 << 10

// classifyReplies answers every line of r by one line to w. Answers are not
// held back while r has nothing more to read, so it can be talked to.
func classifyReplies(r io.Reader, w io.Writer, asJSON bool) error {
	in := bufio.NewReaderSize(r, maxReplyBytes)
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for {
		line, err := replyLine(in)
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return fmt.Errorf("read replies: %w", err)
		}
		v := bounce.Classify(bounce.Parse(line), "")
		if asJSON {
			err = enc.Encode(v)
		} else {
			_, err = fmt.Fprintf(out, "%s\t%s\t%s\n", v.Class, v.Action, v.Rule)
		}
		if err == nil && in.Buffered() == 0 {
			err = out.Flush()
		}
		if err != nil {
			return fmt.Errorf("write answers: %w", err)
		}
	}
}

// replyLine reads one line of any length and returns what fits the buffer of
// in. The last line may lack its newline; io.EOF means there is no more.
func replyLine(in *bufio.Reader) (string, error) {
	part, err := in.ReadSlice('\n')
	line := string(part)
	for errors.Is(err, bufio.ErrBufferFull) {
		part, err = in.ReadSlice('\n')
	}
	if err == io.EOF && (line != "" || len(part) > 0) {
		err = nil
	}
	return line, err
}
