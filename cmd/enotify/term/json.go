package term

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
)

// WriteJSON writes v for programs, and for people who let it run over a terminal:
// what [Visible] would escape is escaped, as JSON does it.
func WriteJSON(w io.Writer, v any) error { return writeJSON(w, v, "  ") }

// WriteJSONLine writes v as JSON on one line.
func WriteJSONLine(w io.Writer, v any) error { return writeJSON(w, v, "") }

func writeJSON(w io.Writer, v any, indent string) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escaped(b.Bytes()))
	return err
}

// escaped writes characters that control a terminal or cannot be seen as \u
// escapes. In what the encoder wrote they stand within strings alone.
func escaped(text []byte) []byte {
	var out []byte
	kept := 0
	for i, r := range string(text) {
		if r < 0x7f || strconv.IsPrint(r) {
			continue
		}
		out = append(out, text[kept:i]...)
		for _, unit := range utf16.Encode([]rune{r}) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
		kept = i + len(string(r))
	}
	return append(out, text[kept:]...)
}
