package sender

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"regexp"
	"strings"
	"text/template"

	"enotify/queue"
)

// A part of a batch that may hold merge fields, {{.name}}, which are filled
// from each recipient's data.
type part struct {
	name  string // for messages to people
	fixed string // the whole part, when it has no merge fields
	merge interface {
		Execute(w io.Writer, data any) error
	} // else
}

func textPart(name, content string) (part, error) {
	if !strings.Contains(content, "{{") {
		return part{name: name, fixed: content}, nil
	}
	t, err := template.New(name).Option("missingkey=error").Parse(content)
	return part{name: name, merge: t}, err
}

// htmlPart escapes what it is filled with as its place asks for.
func htmlPart(name, content string) (part, error) {
	if !strings.Contains(content, "{{") {
		return part{name: name, fixed: content}, nil
	}
	t, err := htmltemplate.New(name).Option("missingkey=error").Parse(content)
	return part{name: name, merge: t}, err
}

// fill returns the part for a recipient with the given data.
func (p part) fill(data map[string]any) (string, error) {
	if p.merge == nil {
		return p.fixed, nil
	}
	var b strings.Builder
	if err := p.merge.Execute(&b, data); err != nil {
		if missing := missingKey.FindStringSubmatch(err.Error()); missing != nil {
			return "", fmt.Errorf("the recipient's data has no value for the merge field %s of the %s", missing[1], p.name)
		}
		return "", fmt.Errorf("the %s cannot be filled: %w", p.name, err)
	}
	return b.String(), nil
}

// missingKey finds the field in what both template packages say of a missing one.
var missingKey = regexp.MustCompile(`map has no entry for key (".*")`)

// mergeData reads a recipient's data. Numbers keep the form they have in the
// JSON; a null is as good as missing. The field "address" is the recipient's
// address, unless the data has one of that name.
func mergeData(m queue.Message) (map[string]any, error) {
	data := map[string]any{}
	if len(m.Data) > 0 {
		d := json.NewDecoder(bytes.NewReader(m.Data))
		d.UseNumber()
		if err := d.Decode(&data); err != nil {
			var wrongType *json.UnmarshalTypeError
			if errors.As(err, &wrongType) {
				return nil, errors.New("the recipient's data is no JSON object")
			}
			return nil, fmt.Errorf("the recipient's data is no JSON object: %w", err)
		}
	}
	if data == nil {
		data = map[string]any{}
	}
	dropNulls(data)
	if _, ok := data["address"]; !ok {
		data["address"] = m.Address
	}
	return data, nil
}

func dropNulls(data map[string]any) {
	for key, value := range data {
		switch value := value.(type) {
		case nil:
			delete(data, key)
		case map[string]any:
			dropNulls(value)
		}
	}
}
