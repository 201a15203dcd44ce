package compose_test

import (
	"encoding/json"
	"strings"
	"testing"

	"enotify/queue"
	"enotify/sender/compose"
)

// However the data is written, a template sees the same: the quick reader and
// encoding/json agree, which the same object within an array shows.
func FuzzData(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"v":"x"}`, `{"v":1.50}`, `{"v":-0}`, `{"v":01}`, `{"v":true,"w":null}`, ` { "v" : "x" , "w" : 2 } `,
		`{"v":"a\nb"}`, `{"v":"ä"}`, `{"v":1e3}`, `{"v":"x","v":"y"}`,
		`{"v":"x","v":null}`, `{"v":"x"}x`, `{"v":"x",}`, `{"v":[1]}`, `{"v":{"w":1}}`, `[1]`, `null`, `{"v":"tel:1"}`,
		`{"v":1.}`, `{"v":.5}`, `{"v":--1}`, `{"v":"` + "\xff" + `"}`, `{"v"`, `{"v":tru}`,
	} {
		f.Add(seed)
	}
	b := *testBatch
	b.Text = "{{with .v}}{{.}}{{end}}|{{with .w}}{{.}}{{end}}"
	l, err := compose.New(&b)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data string) {
		say := func(data string) string {
			m, err := l.Compose(queue.Message{Batch: &b, Seq: 1, Address: "a@b.test", Data: json.RawMessage(data)}, nil)
			if err != nil {
				return "error"
			}
			defer m.Release()
			_, body, _ := strings.Cut(string(m.Bytes()), "\r\n\r\n")
			return body
		}
		quick := say(data)
		slow := quick
		if i := strings.IndexByte(data, '{'); i >= 0 { // a list as a value is read by encoding/json
			slow = say(data[:i+1] + `"unused":[],` + data[i+1:])
			if strings.TrimSpace(data[i+1:]) != "" && strings.HasPrefix(strings.TrimLeft(data[i+1:], " \t\r\n"), "}") {
				slow = say(data[:i+1] + `"unused":[]` + data[i+1:])
			}
		}
		if quick != slow {
			t.Errorf("%q: got %q, want %q", data, quick, slow)
		}
	})
}
