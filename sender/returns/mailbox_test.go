package returns_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/sender/bounce/report"
	"enotify/sender/returns"
)

// read lists the mails of a path, each as "name: content".
func read(t *testing.T, path, stdin string) (all []string) {
	t.Helper()
	mails, err := returns.Mailbox(path, strings.NewReader(stdin))
	if err != nil {
		t.Fatal(err)
	}
	for m := range mails {
		if m.Err != nil {
			t.Errorf("%s: %v", m.Name, m.Err)
		}
		all = append(all, fmt.Sprintf("%s: %q", strings.TrimPrefix(m.Name, path+"/"), m.Raw))
	}
	return all
}

func TestMailsOfAStream(t *testing.T) {
	t.Parallel()
	const a, b = "From a@x.test Mon Nov 23 08:00:00 2026\n", "From MAILER-DAEMON  Thu Apr 29 23:34:45 2015\n"
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"one mail": {"Subject: a\n\nFrom now on it is Mon\n\nFrom x Mon y\n",
			[]string{`-: "Subject: a\n\nFrom now on it is Mon\n\nFrom x Mon y\n"`}},
		"nothing":            {"", nil},
		"without a line end": {"Subject: a", []string{`-: "Subject: a"`}},
		"an mbox": {a + "Subject: a\n\none\n\n" + b + "Subject: b\n",
			[]string{`-#1: "` + strings.TrimSuffix(a, "\n") + `\nSubject: a\n\none\n\n"`, `-#2: "` +
				strings.TrimSuffix(b, "\n") + `\nSubject: b\n"`}},
		"From within an mbox": {a + "Subject: a\n\nFrom here Mon on\n",
			[]string{`-#1: "` + strings.TrimSuffix(a, "\n") + `\nSubject: a\n\nFrom here Mon on\n"`}},
		"mbox without blank": {a + "Subject: a\n" + b,
			[]string{`-#1: "` + strings.TrimSuffix(a, "\n") + `\nSubject: a\n` + strings.TrimSuffix(b, "\n") + `\n"`}},
		"quoted From is undone": {a + "\n>From x\n>>From y\n>other\n",
			[]string{`-#1: "` + strings.TrimSuffix(a, "\n") + `\n\nFrom x\n>From y\n>other\n"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, read(t, "-", c.in)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What is beyond the first MiB is passed over, and the next mail is found.
func TestMailsAreCut(t *testing.T) {
	t.Parallel()
	const from = "From a@x.test Mon Nov 23 08:00:00 2026\n"
	mails, err := returns.Mailbox("-", strings.NewReader(from+strings.Repeat("x", 3*report.MaxBytes)+"\n\n"+from+"b\n"))
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for m := range mails {
		sizes = append(sizes, len(m.Raw))
	}
	if diff := cmp.Diff([]int{report.MaxBytes, len(from) + 2}, sizes); diff != "" {
		t.Errorf("octets (-want +got):\n%s", diff)
	}
}

func TestMailsOfFolders(t *testing.T) {
	t.Parallel()
	plain, maildir := t.TempDir(), t.TempDir()
	for _, sub := range []string{"new", "cur", "tmp"} {
		if err := os.Mkdir(filepath.Join(maildir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{filepath.Join(plain, "a.eml"), filepath.Join(plain, ".hidden"),
		filepath.Join(maildir, "new/1"), filepath.Join(maildir, "cur/2:2,S"), filepath.Join(maildir, "tmp/3"),
		filepath.Join(maildir, "dovecot.index")} {
		if err := os.WriteFile(file, []byte("hi\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string][]string{
		plain:                         {`a.eml: "hi\n"`},
		maildir:                       {`new/1: "hi\n"`, `cur/2:2,S: "hi\n"`},
		filepath.Join(plain, "a.eml"): {filepath.Join(plain, "a.eml") + `: "hi\n"`},
	} {
		if diff := cmp.Diff(want, read(t, path, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	if _, err := returns.Mailbox(filepath.Join(plain, "nowhere"), nil); err == nil {
		t.Error("a path that is not there: got no error")
	}
}
