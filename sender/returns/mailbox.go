package returns

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"enotify/sender/bounce/report"
)

// Mailbox lists the mails of a path: a file with one mail, an mbox, a Maildir
// (its new and cur), or a folder with one mail a file; "-" is standard input.
func Mailbox(path string, stdin io.Reader) (iter.Seq[Mail], error) {
	if path == "-" {
		return func(yield func(Mail) bool) { readMails("-", stdin, yield) }, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return func(yield func(Mail) bool) { openMails(path, yield) }, nil
	}
	files, err := mailFiles(path)
	if err != nil {
		return nil, err
	}
	return func(yield func(Mail) bool) {
		for _, file := range files {
			if !openMails(file, yield) {
				return
			}
		}
	}, nil
}

// mailFiles lists the mails of a Maildir, or else the files of a folder.
func mailFiles(dir string) (files []string, err error) {
	maildir := false
	for _, sub := range []string{"new", "cur"} {
		found, err := filesIn(filepath.Join(dir, sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		maildir = maildir || err == nil
		files = append(files, found...)
	}
	if maildir {
		return files, nil
	}
	return filesIn(dir)
}

func filesIn(dir string) (files []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Type().IsRegular() && e.Name()[0] != '.' {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files, err
}

func openMails(file string, yield func(Mail) bool) (more bool) {
	f, err := os.Open(file)
	if err != nil {
		return yield(Mail{Name: file, Err: err})
	}
	defer f.Close()
	return readMails(file, f, yield)
}

// fromLine begins a mail of an mbox (RFC 4155, appendix A). The time keeps it
// apart from a sentence.
var fromLine = regexp.MustCompile(`^From \S+ .*\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b.* \d\d:\d\d`)

// readMails reads one mail, or the mails of an mbox. Lines of any length are
// read in pieces; what is beyond the first MiB of a mail is passed over.
func readMails(name string, r io.Reader, yield func(Mail) bool) (more bool) {
	in := bufio.NewReaderSize(r, 64<<10)
	var kept []byte
	n, box, blank, begun := 0, false, true, true // begun: at the beginning of a line
	give := func() bool {
		n++
		m := Mail{Name: name, Raw: slices.Clone(kept)}
		if box {
			m.Name = fmt.Sprintf("%s#%d", name, n)
		}
		kept = kept[:0]
		return yield(m)
	}
	for first := true; ; {
		line, err := in.ReadSlice('\n')
		if begun && blank && fromLine.Match(line) {
			if first {
				box = true
			} else if box && !give() {
				return false
			}
		}
		first = first && len(line) == 0
		if box && begun && bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) && line[0] == '>' {
			line = line[1:]
		}
		kept = append(kept, line[:min(len(line), max(0, report.MaxBytes-len(kept)))]...)
		blank = begun && len(bytes.TrimRight(line, "\r\n")) == 0
		begun = !errors.Is(err, bufio.ErrBufferFull)
		switch {
		case err == nil, errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return len(kept) == 0 || give()
		default:
			return yield(Mail{Name: name, Err: err})
		}
	}
}
