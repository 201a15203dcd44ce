package recipients_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/recipients"
	"enotify/queue"
)

// readAll returns what the recipients of a file are, as address and data, or
// the error.
func readAll(text string) ([]string, error) {
	f, err := recipients.NewCSV(strings.NewReader(text), "x.csv")
	if err != nil {
		return nil, err
	}
	var all []string
	for {
		r, err := f.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, strings.TrimSpace(r.Address+" "+string(r.Data)))
	}
}

func TestRecipients(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200<<10)
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"address alone", "address\na@x.test\nb@x.test\n", []string{"a@x.test", "b@x.test"}},
		{"no newline at the end", "address\na@x.test", []string{"a@x.test"}},
		{"any case, spaces around names", " ADDRESS , Name\na@x.test,Ann", []string{`a@x.test {"Name":"Ann"}`}},
		{"address not first", "name,address\nAnn,a@x.test", []string{`a@x.test {"name":"Ann"}`}},
		{"byte order mark", "\ufeffaddress,name\na@x.test,Ann", []string{`a@x.test {"name":"Ann"}`}},
		{"byte order mark and quotes", "\ufeff\"address\",\"name\"\na@x.test,Ann", []string{`a@x.test {"name":"Ann"}`}},
		{"CRLF", "address,name\r\na@x.test,Ann\r\n\r\nb@x.test,Bob\r\n",
			[]string{`a@x.test {"name":"Ann"}`, `b@x.test {"name":"Bob"}`}},
		{"semicolons", "name;address\nAnn, B;a@x.test", []string{`a@x.test {"name":"Ann, B"}`}},
		{"tabs", "address\tname\na@x.test\tAnn; B", []string{`a@x.test {"name":"Ann; B"}`}},
		{"semicolons in a file of commas", "address,x;y\na@x.test,1;2", []string{`a@x.test {"x;y":"1;2"}`}},
		{"quotes", "address,name\na@x.test,\"Ann \"\"A\"\", née\nB\"",
			[]string{`a@x.test {"name":"Ann \"A\", née\nB"}`}},
		{"empty values", "address,name\n,\na@x.test,", []string{`{"name":""}`, `a@x.test {"name":""}`}},
		{"empty lines before the header", "\n\naddress\na@x.test", []string{"a@x.test"}},
		{"bad addresses are the queue's affair", "address\nnobody\n", []string{"nobody"}},
		{"a field longer than the buffer", "address,name\na@x.test," + long,
			[]string{`a@x.test {"name":"` + long + `"}`}},
		{"one character less than a mark", "a", nil},
		{"a separator is declared", "sep=;\r\nname;address\r\nAnn, B;a@x.test", []string{`a@x.test {"name":"Ann, B"}`}},
		{"a mark before a declared bar", "\ufeffsep=|\nname|address\nAnn|a@x.test",
			[]string{`a@x.test {"name":"Ann"}`}},
		{"CR alone", "address,name\ra@x.test,Ann\rb@x.test,Bob",
			[]string{`a@x.test {"name":"Ann"}`, `b@x.test {"name":"Bob"}`}},
		{"invisible characters around a name", "\u200baddress\u200b,\u00a0name\ufeff\na@x.test,Ann",
			[]string{`a@x.test {"name":"Ann"}`}},
	} {
		got, err := readAll(tt.in)
		if tt.want == nil && err == nil || tt.want != nil && err != nil {
			t.Errorf("%s: got error %v, want %v", tt.name, err, tt.want)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestRecipientsBroken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"empty", "", "x.csv is empty; its first line names the columns, one of them address"},
		{"mark alone", "\ufeff", "x.csv is empty; its first line names the columns, one of them address"},
		{"header alone", "address\n", "x.csv names columns but no recipient"},
		{"too few", "address,name\na@x.test,Ann\nb@x.test", "x.csv line 3: 1 field, but line 1 names 2 columns"},
		{"too many", "address,name\na@x.test,Ann,Lee\n", "x.csv line 2: 3 fields, but line 1 names 2 columns"},
		{"after a field of two lines", "address,name\na@x.test,\"A\nB\"\nb@x.test\n",
			"x.csv line 4: 1 field, but line 1 names 2 columns"},
		{"open quote", "address,name\na@x.test,\"Ann\nb@x.test,Bob\n",
			"x.csv line 2: a quote that is not closed, or not doubled within quotes"},
		{"open quote in the header", "address,\"name\na@x.test,Ann\n",
			"x.csv line 1: a quote that is not closed, or not doubled within quotes"},
		{"bare quote", "address,name\na@x.test,A\"nn\n",
			"x.csv line 2: a quote within a field that is not in quotes itself"},
		{"twice", "address,name,name\n", "x.csv line 1: two columns are called name"},
		{"two addresses", "address,Address\n", "x.csv line 1: two columns are called Address"},
		{"no name", "address,\n", "x.csv line 1: column 2 has no name"},
		{"no address", "email,name\n", "x.csv line 1: no column is called address; there is email, name"},
		{"no header", "a@x.test,Ann\n", "x.csv line 1: it must name the columns, one of them address, but it holds an address itself"},
		{"Latin 1", "address,name\na@x.test,Andr\xe9\n", "x.csv line 2: not in UTF-8; save the file as CSV in UTF-8"},
		{"Latin 1 in the header", "address,pr\xe9nom\na@x.test,A\n",
			"x.csv line 1: not in UTF-8; save the file as CSV in UTF-8"},
		{"UTF-16", "\xff\xfea\x00d\x00", "x.csv is in UTF-16; save it as CSV in UTF-8"},
		{"a line that does not end", "address,name\na@x.test,\"A\nB\"\nb@x.test," + strings.Repeat("x", 3<<20),
			"x.csv line 4: it is longer than 2 MiB, or has a quote that is not closed"},
		{"no line at all", strings.Repeat("x", 3<<20),
			"x.csv line 1: it is longer than 2 MiB, or has a quote that is not closed"},
		{"open quote before very many lines", "address,name\na@x.test,\"Ann\n" + strings.Repeat("b@x.test,Bob\n", 250_000),
			"x.csv line 2: it is longer than 2 MiB, or has a quote that is not closed"},
		{"NUL", "address\na@x\x00.test\n", "x.csv line 2: holds a NUL; this is no text file"},
	} {
		if got, err := readAll(tt.in); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %q and error %v, want error %q", tt.name, got, err, tt.want)
		}
	}
}

// A file that cannot be read to its end is no shorter file.
func TestRecipientsReadError(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	for _, start := range []string{"", "address\na@x.test\n"} {
		f, err := recipients.NewCSV(io.MultiReader(strings.NewReader(start), failing{broken}), "x.csv")
		for err == nil {
			_, err = f.Next()
		}
		if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "x.csv: ") {
			t.Errorf("after %q: got %v, want x.csv: %v", start, err, broken)
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzRecipients(f *testing.F) {
	for _, seed := range []string{
		"", "address", "address,name\na@x.test,Ann\n", "\ufeffname;address\r\nAnn;a@x.test\r\n",
		"address\tb\n\"a\nb\"\tc",
		"address,name\n\"a", "\xff\xfe", "a@x.test", "address,,\n", "address\n\x00", ";;;\n,,,",
		"\n\n\"address\"\n\"\"\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := recipients.NewCSV(strings.NewReader(text), "x.csv")
		for n := 0; err == nil; n++ {
			var r queue.Recipient
			if r, err = list.Next(); err != nil {
				break
			}
			if n > len(text) {
				t.Fatalf("more recipients than characters in %q", text)
			}
			if !utf8.ValidString(r.Address) || strings.ContainsRune(r.Address, 0) {
				t.Errorf("address: got %q, which no text column takes", r.Address)
			}
			var data map[string]string
			if r.Data != nil {
				if err := json.Unmarshal(r.Data, &data); err != nil {
					t.Errorf("data %s: %v", r.Data, err)
				}
			}
			if len(data) != len(list.Columns())-1 {
				t.Errorf("data: got %s, want a value for each of %q but the address", r.Data, list.Columns())
			}
		}
		if !errors.Is(err, io.EOF) && !strings.HasPrefix(err.Error(), "x.csv") {
			t.Errorf("error: got %q, want it to name the file", err)
		}
	})
}
