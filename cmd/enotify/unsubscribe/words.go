package unsubscribe

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// Words are what the page says in one language. {sender}, {client} and {address} stand
// for what the page is about.
type Words struct {
	Ask        string `json:"ask"`
	AskText    string `json:"ask_text"`
	Button     string `json:"button"`
	AskNote    string `json:"ask_note"`
	Done       string `json:"done"`
	DoneText   string `json:"done_text"`
	DoneNote   string `json:"done_note"`
	Again      string `json:"again_button"`
	AgainDone  string `json:"again"`
	AgainText  string `json:"again_text"`
	AgainNot   string `json:"again_not"`
	AgainNotTo string `json:"again_not_text"`
	Unknown    string `json:"unknown"`
	UnknownTo  string `json:"unknown_text"`
	Method     string `json:"method"`
	MethodTo   string `json:"method_text"`
	Unreadable string `json:"unreadable_text"`
	Busy       string `json:"busy"`
	Away       string `json:"away"`
	Later      string `json:"later_text"`
}

// Languages are the words by language. Its zero value knows none; see [Load].
type Languages struct {
	words   []Words
	tags    []language.Tag
	matcher language.Matcher
}

//go:embed words/*.json
var built embed.FS

// Load returns the built-in languages (English, German, French, Spanish) and those of a
// file, which replace built-in ones of the same tag; file "" adds none. The file is
// a JSON object: language tags (BCP 47) to the words of each.
func Load(file string) (*Languages, error) {
	all := map[string]json.RawMessage{}
	for _, tag := range []string{"en", "de", "fr", "es"} {
		text, err := built.ReadFile("words/" + tag + ".json")
		if err != nil {
			return nil, err
		}
		all[tag] = text
	}
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		own := map[string]json.RawMessage{}
		if err := json.Unmarshal(text, &own); err != nil {
			return nil, fmt.Errorf("%s: want a JSON object of languages, {\"nl\": {\"ask\": …}}: %w", file, err)
		}
		maps.Copy(all, own)
	}
	l := &Languages{}
	names := slices.Sorted(maps.Keys(all))
	// the fallback is first
	names = append([]string{"en"}, slices.DeleteFunc(names, func(n string) bool { return n == "en" })...)
	for _, name := range names {
		tag, err := language.Parse(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no language tag, such as nl or pt-BR", file, name)
		}
		words, err := read(all[name])
		if err != nil {
			return nil, fmt.Errorf("%s: language %s: %w", file, name, err)
		}
		l.tags, l.words = append(l.tags, tag), append(l.words, words)
	}
	l.matcher = language.NewMatcher(l.tags)
	return l, nil
}

// read reads the words of one language; none may be missing.
func read(text []byte) (w Words, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return w, err
	}
	v := reflect.ValueOf(w)
	for i := range v.NumField() {
		if strings.TrimSpace(v.Field(i).String()) == "" {
			return w, fmt.Errorf("%s is missing", v.Type().Field(i).Tag.Get("json"))
		}
	}
	return w, nil
}

// choose returns the words in the language of the batch; where the application named
// none that is known, in one that the reader's browser asks for; else in English.
func (l *Languages) choose(batch, browser string) (tag string, w Words) {
	for _, asked := range []string{batch, browser} {
		tags, _, err := language.ParseAcceptLanguage(asked)
		if err != nil || len(tags) == 0 {
			continue
		}
		if _, i, sure := l.matcher.Match(tags...); sure >= language.High {
			return l.tags[i].String(), l.words[i]
		}
	}
	return l.tags[0].String(), l.words[0]
}
