package submit

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// BatchFields are those of a batch: the arguments of enotify.create_batch, without
// idem_key, which is the header Idempotency-Key, and three that other functions take.
type BatchFields struct {
	FromAddress     string            `json:"from_address"`
	FromName        string            `json:"from_name"`
	ReplyTo         string            `json:"reply_to"`
	Subject         string            `json:"subject"`
	BodyText        string            `json:"body_text"`
	BodyHTML        string            `json:"body_html"`
	Priority        int32             `json:"priority"`
	NotBefore       time.Time         `json:"not_before"`
	ExpiresAt       time.Time         `json:"expires_at"`
	OnUnknown       string            `json:"on_unknown"`
	ListUnsubscribe string            `json:"list_unsubscribe"`
	Headers         map[string]values `json:"headers"`
	Lang            string            `json:"lang"`
	Pool            string            `json:"pool"`
	SendWindow      string            `json:"send_window"`
	Draft           bool              `json:"draft"` // do not submit it yet
	Ready           bool              `json:"ready"` // keep it as a draft until it is needed
	Attachments     []Attachment      `json:"attachments"`
}

// An Attachment is a file that every message carries: the arguments of
// enotify.add_attachment.
type Attachment struct {
	Filename    string `json:"filename"`
	Content     []byte `json:"content"` // in JSON: base64
	ContentType string `json:"content_type"`
	ContentID   string `json:"content_id"`
}

// values are those of a header field: a string, or a list of them.
type values []string

func (v *values) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		*v = []string{""}
		return json.Unmarshal(raw, &(*v)[0])
	}
	return json.Unmarshal(raw, (*[]string)(v))
}

// batch reads the fields of the batch, which with CSV are in the query.
func (b *body) batch(q *http.Request) (f BatchFields, err error) {
	raw := b.fields
	if b.kind == typeCSV {
		if raw, err = queryFields(q); err != nil {
			return f, err
		}
	}
	if err := decoder(bytes.NewReader(raw)).Decode(&f); err != nil {
		return f, problem(http.StatusBadRequest, "the batch cannot be read: "+strings.TrimPrefix(err.Error(), "json: "))
	}
	f.Attachments = b.files
	return f, nil
}

// queryFields makes an object of the query.
func queryFields(q *http.Request) (json.RawMessage, error) {
	fields := map[string]any{}
	for name, all := range q.URL.Query() {
		fields[name] = all[0]
		switch name {
		case "priority":
			n, err := strconv.ParseInt(all[0], 10, 32)
			if err != nil {
				return nil, problem(http.StatusBadRequest, "priority: want a number")
			}
			fields[name] = n
		case "draft", "ready":
			yes, err := strconv.ParseBool(all[0])
			if err != nil {
				return nil, problem(http.StatusBadRequest, name+": want true or false")
			}
			fields[name] = yes
		case "headers", "attachments":
			return nil, problem(http.StatusBadRequest, name+": only in a JSON body")
		}
	}
	return json.Marshal(fields)
}
