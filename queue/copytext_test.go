package queue_test

import (
	"bytes"
	"testing"
	"testing/iotest"

	"enotify/queue"
	"enotify/queue/queuetest"
)

// What rows of text say is staged as it was, wherever a read ends.
func TestRowsAreStagedAsTheyWere(t *testing.T) {
	t.Parallel()
	f := queuetest.NewFixture(t)
	want := []queue.Recipient{{Address: "ann@a.example"}, {Address: `"a\b"@a.example`, Data: []byte(`{"name": "A\tn\\n"}`)},
		{Address: "a\tb\nc\rd\\N", Data: []byte("{\n\t\"x\": 1\r}")}, {Address: `\N`, Data: []byte(`{"q": "\\."}`)}, {}}
	var text []byte
	for _, r := range want {
		text = queue.AppendRow(text, r)
	}
	made, err := f.DB.Create(t.Context(), queue.Draft{Key: "menu", Batch: queue.Batch{From: "info@town.example",
		Subject: "Menu", Text: "Soup."}, Rows: iotest.OneByteReader(bytes.NewReader(text))})
	if err != nil || made.Recipients != len(want) {
		t.Fatalf("Create: got %+v, %v; want %d recipients", made, err, len(want))
	}
	for i, r := range want {
		data := any(nil)
		if r.Data != nil {
			data = string(r.Data)
		}
		if !queuetest.Query[bool](f, `SELECT count(*) = 1 FROM enotify.recipient_in
			WHERE batch_id = $1 AND address = $2 AND data IS NOT DISTINCT FROM $3::text::jsonb`, made.ID, r.Address, data) {
			t.Errorf("recipient %d: %q %s is not staged", i, r.Address, r.Data)
		}
	}
}
