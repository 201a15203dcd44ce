package compose

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"strconv"
	"strings"

	"enotify/queue"
)

// A decimal is a JSON number that would change its form as an int64 or a
// float64: 1.50, 10000000000000000001. It is written as it stands, and compared
// and formatted as a number.
type decimal string

// readData reads a recipient's data. A null is as good as missing. The field
// "address" is the recipient's address, unless the data has one of that name.
func readData(m queue.Message) (map[string]any, error) {
	data, ok := flat(string(m.Data))
	if !ok && len(m.Data) > 0 {
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
	if !ok {
		for key, v := range data {
			if v == nil {
				delete(data, key)
				continue
			}
			data[key] = value(v)
		}
	}
	if _, ok := data["address"]; !ok {
		data["address"] = m.Address
	}
	return data, nil
}

// value is a JSON value as templates see it. Nulls in objects are left out.
func value(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number(string(v))
	case string:
		if safeLink(v) {
			return template.URL(v)
		}
	case []any:
		for i := range v {
			v[i] = value(v[i])
		}
	case map[string]any:
		for key, inner := range v {
			if inner == nil {
				delete(v, key)
				continue
			}
			v[key] = value(inner)
		}
	}
	return v
}

// number is a JSON number in the type that writes it as the JSON does.
func number(text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
		return n
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && fmt.Sprint(f) == text {
		return f
	}
	return decimal(text)
}

// linkSchemes may stand in a link beside those that html/template lets through
// (http, https, mailto): a call, a text message, a place, a picture that the
// message carries. None of them runs anything.
var linkSchemes = []string{"tel:", "sms:", "cid:", "geo:"}

func safeLink(s string) bool {
	for _, scheme := range linkSchemes {
		if len(s) >= len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

// text is a value as a template writes it.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case template.URL:
		return string(v)
	case decimal:
		return string(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	}
	return fmt.Sprint(v)
}

// lookup finds a field of the data by its path.
func lookup(data any, path []string) (v any, ok bool) {
	for _, name := range path {
		fields, isObject := data.(map[string]any)
		if !isObject {
			return nil, false
		}
		if data, ok = fields[name]; !ok {
			return nil, false
		}
	}
	return data, true
}
