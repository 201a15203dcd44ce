package term_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/term"
)

// A program reads what was written; a terminal is not controlled by it.
func TestWriteJSON(t *testing.T) {
	t.Parallel()
	want := map[string]string{"a": "\x1b[2J\x7f\u009b31m\u202egpj\u2066", "b": "bücher 東京 <b> & \\ \"",
		"c": "\U000e0041 \U0001f4a9"}
	for name, write := range map[string]func(*strings.Builder) error{
		"indented": func(b *strings.Builder) error { return term.WriteJSON(b, want) },
		"line":     func(b *strings.Builder) error { return term.WriteJSONLine(b, want) },
	} {
		var b strings.Builder
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		for _, r := range "\x1b\x7f\u009b\u202e\u2066\U000e0041" {
			if strings.ContainsRune(b.String(), r) {
				t.Errorf("%s: got %q, want no %U in it", name, b.String(), r)
			}
		}
		if !strings.Contains(b.String(), "bücher 東京 <b> &") {
			t.Errorf("%s: got %q, want letters as they are", name, b.String())
		}
		var got map[string]string
		if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
