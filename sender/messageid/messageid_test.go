package messageid_test

import (
	"math"
	"testing"
	"time"

	"enotify/sender/messageid"
)

func TestParseWhatAppendWrote(t *testing.T) {
	t.Parallel()
	for _, want := range []messageid.ID{
		{Batch: 42, Seq: 7, Created: time.UnixMicro(1_795_000_000_123_456), Client: "town.example"},
		{Batch: 1, Seq: 1, Created: time.UnixMicro(0), Client: "xn--mller-kva.example"},
		{Batch: 999_999_999_999_999_999, Seq: 999_999_999, Created: time.UnixMicro(math.MaxInt64 / 4),
			Client: "a.b.c.example"},
	} {
		text := string(want.Append(nil))
		got, ok := messageid.Parse(text)
		if !ok || got.Batch != want.Batch || got.Seq != want.Seq || !got.Created.Equal(want.Created) ||
			got.Client != want.Client {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, ok, want)
		}
	}
}

func TestParseOthers(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "<>", "enotify.1.2.abc@town.example", "<enotify.1.2.abc@town.example", "<enotify.1.2.ABC@town.example>",
		"<enotify.1.2.abc@>",
		"<enotify.-1.2.abc@town.example>", "<enotify.1.2@town.example>", "<enotify.1.2.abc@town.example> <x@y>",
		"<enotify.1.2.abc@a@b>",
		"<enotify.1234567890123456789.2.abc@town.example>", "<enotify.1.2.abc@town example>", "<4711@mx.example>",
	} {
		if id, ok := messageid.Parse(text); ok {
			t.Errorf("%q: got %+v, want it to be none of ours", text, id)
		}
	}
}
