package unsubscribe_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"enotify/cmd/enotify/unsubscribe"
)

// The operator's own file adds a language; a word that is missing or misspelt is named.
func TestLoad(t *testing.T) {
	t.Parallel()
	dutch := `"ask": "Afmelden van {sender}?", "ask_text": "a", "button": "b", "ask_note": "c", "done": "d", "done_text": "e", "done_note": "f", "again_button": "o", "again": "p", "again_text": "q", "again_not": "r", "again_not_text": "s", "unknown": "g",
		"unknown_text": "h", "method": "i", "method_text": "j", "unreadable_text": "k", "busy": "l", "away": "m", "later_text": "n"`
	for _, c := range []struct{ file, want string }{
		{`{"nl": {` + dutch + `}}`, ""},
		{`{"nl": {` + strings.Replace(dutch, `"busy": "l", `, "", 1) + `}}`, "language nl: busy is missing"},
		{`{"nl": {` + dutch + `, "bussy": "x"}}`, `language nl: json: unknown field "bussy"`},
		{`{"no such tag": {` + dutch + `}}`, `"no such tag" is no language tag`},
		{`[]`, "want a JSON object of languages"},
	} {
		file := filepath.Join(t.TempDir(), "words.json")
		if err := os.WriteFile(file, []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := unsubscribe.Load(file)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.file, err, c.want)
		}
	}
}
