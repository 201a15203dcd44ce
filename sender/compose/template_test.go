package compose_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"enotify/queue"
	"enotify/sender/compose"

	"github.com/google/go-cmp/cmp"
)

// filled is the HTML, or the text where there is none, of a message.
func filled(t testing.TB, b *queue.Batch, data string) string {
	t.Helper()
	_, all := leaves(t, written(t, b, data))
	return strings.TrimSuffix(strings.ReplaceAll(all[len(all)-1].content, "\r\n", "\n"), "\n")
}

// HTML goes out as the client wrote it, and values in it as their place asks for.
func TestHTML(t *testing.T) {
	t.Parallel()
	const data = `{"n":"Ada <b> & \"co\"","u":"https://a.test/?x=1&y=2","t":"tel:+123","s":"sms:+123","c":"cid:logo","g":"geo:1,2","r":"/news","m":"mailto:a@b.test","w":"600","vip":true,
		"color":"red","items":[{"n":"A"},{"n":"B"}],"end":"--> */ <script>"}`
	for _, test := range []struct{ name, html, want string }{
		{"conditional comment", `<!--[if mso]><table><tr><td>{{.n}}</td></tr></table><![endif]--><p>{{.n}}</p>`,
			`<!--[if mso]><table><tr><td>Ada &lt;b&gt; &amp; &#34;co&#34;</td></tr></table><![endif]--><p>Ada &lt;b&gt; &amp; &#34;co&#34;</p>`},
		{"downlevel-revealed", `<!--[if !mso]><!--><p>{{.w}}</p><!--<![endif]-->`,
			`<!--[if !mso]><!--><p>600</p><!--<![endif]-->`},
		{"comment without a field", `<!-- built by x > y -->{{.w}}<!---->`, `<!-- built by x > y -->600<!---->`},
		{"comment ends where the client ended it", `<!--{{.end}}-->{{.w}}`, `<!----&gt; * / &lt;script&gt;-->600`},
		{"VML", `<!--[if gte mso 9]><v:rect style="width:{{.w}}px;"><v:fill src="{{.u}}" /></v:rect><![endif]-->`,
			`<!--[if gte mso 9]><v:rect style="width:600px;"><v:fill src="https://a.test/?x=1&amp;y=2" /></v:rect><![endif]-->`},
		{"comment in a condition", `{{if .vip}}<!--[if mso]>{{.w}}<![endif]-->{{end}}`, `<!--[if mso]>600<![endif]-->`},
		{"comment in a style sheet", `<style>/* {{.w}} */ .a{color:{{.color}}} /* as is */</style>`,
			`<style>/* 600 */ .a{color:red} /* as is */</style>`},
		{"stray brackets", `a < b {{.w}} && c`, `a < b 600 && c`},
		{"doctype and entities", `<!DOCTYPE html><p>&nbsp;&copy;{{.w}}</p>`, `<!DOCTYPE html><p>&nbsp;&copy;600</p>`},
		{"tel", `<a href="{{.t}}">call</a>`, `<a href="tel:+123">call</a>`},
		{"sms", `<a href="{{.s}}">write</a>`, `<a href="sms:+123">write</a>`},
		{"cid", `<img src="{{.c}}">`, `<img src="cid:logo">`},
		{"geo", `<a href="{{.g}}">go</a>`, `<a href="geo:1,2">go</a>`},
		{"relative", `<a href="{{.r}}">news</a>`, `<a href="/news">news</a>`},
		{"mailto", `<a href="{{.m}}">news</a>`, `<a href="mailto:a@b.test">news</a>`},
		{"link", `<a href="{{.u}}">x</a>`, `<a href="https://a.test/?x=1&amp;y=2">x</a>`},
		{"in a link", `<a href="https://a.test/?q={{.n}}">x</a>`,
			`<a href="https://a.test/?q=Ada%20%3cb%3e%20%26%20%22co%22">x</a>`},
		{"range", `<ul>{{range .items}}<li>{{.n}}</li>{{else}}none{{end}}</ul>`, `<ul><li>A</li><li>B</li></ul>`},
		{"defined template", `{{define "row"}}<td>{{.n}}</td>{{end}}<tr>{{range .items}}{{template "row" .}}{{end}}</tr>`, `<tr><td>A</td><td>B</td></tr>`},
		{"variable", `{{$x := .w}}<p>{{$x}}</p><p>{{$x}}</p>`, `<p>600</p><p>600</p>`},
		{"no field at all", `<!-- c --><p>&lt;</p>`, `<!-- c --><p>&lt;</p>`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := *testBatch
			b.Text, b.HTML = "", test.html
			got := filled(t, &b, data)
			if strings.ReplaceAll(got, "&#43;", "+") != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// A value that could do harm where it stands ends that recipient.
func TestUnsafeValues(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ html, data string }{
		{`<a href="{{.v}}">x</a>`, `{"v":"javascript:alert(1)"}`},
		{`<a href="{{.v}}">x</a>`, `{"v":"whatsapp://send"}`},
		{`<img src="{{.v}}">`, `{"v":"data:image/png;base64,AAAA"}`},
		{`<style>.a{color:{{.v}}}</style>`, `{"v":"red; background:url(x)"}`},
		{`<p style="color:{{.v}}">`, `{"v":"expression(1)"}`},
		{`{{if .v}}<a href="{{.v}}">x</a>{{end}}`, `{"v":"vbscript:x"}`},
	} {
		b := *testBatch
		b.Text, b.HTML = "", test.html
		l, err := compose.New(&b)
		if err != nil {
			t.Errorf("%s: %v", test.html, err)
			continue
		}
		if m, err := l.Compose(to(&b, 1, "u@a.test", test.data), nil); err == nil ||
			!strings.Contains(err.Error(), "not safe in its place") {
			t.Errorf("%s with %s: got %v, want it refused", test.html, test.data, err)
			if m != nil {
				t.Errorf("%s", m.Bytes())
			}
		}
	}
}

// Numbers of JSON, and those that a CSV file has as text, are numbers; what may
// be missing is asked for by if, with, range, and, or.
func TestFunctions(t *testing.T) {
	t.Parallel()
	const data = `{"n":42,"one":1,"f":1.5,"price":1.50,"big":10000000000000000001,"zero":0,"free":0.00,"csv":"42","csvf":"19.90","name":"Ada","no":false,"yes":true,
		"list":["a","b"],"First Name":"Ada","o":{"x":{"y":7}},"neg":-3,"percent":"50%! off"}`
	for _, test := range []struct{ text, want string }{
		{`{{printf "%05d" .n}} {{printf "%.2f" .f}}`, "00042 1.50"},
		{`{{if eq .one 1}}one{{end}}`, "one"},
		{`{{if gt .n 5}}many{{end}} {{if lt .f 2}}few{{end}} {{ge .n 42}}`, "many few true"},
		{`{{.n}} {{.f}} {{.price}} {{.big}} {{.neg}}`, "42 1.5 1.50 10000000000000000001 -3"},
		{`{{if gt .price 1}}dear{{end}} {{printf "%.1f" .price}} {{printf "%d" .big}}`,
			"dear 1.5 10000000000000000001"},
		{`{{if eq .csv 42}}csv{{end}} {{printf "%06d" .csv}} {{printf "%.1f" .csvf}} {{if lt .csv 100}}less{{end}}`,
			"csv 000042 19.9 less"},
		{`{{if .zero}}x{{else}}zero{{end}} {{if .free}}x{{else}}free{{end}} {{if not .no}}no{{end}}`, "zero free no"},
		{`{{eq .yes true}} {{ne .name "Bob"}} {{eq .name "Bob" "Ada"}}`, "true true true"},
		{`{{printf "%s %v %q %d%%" .name .n .name .n}} {{printf "%*d" 5 .n}} {{printf "%s" .n}}`,
			`Ada 42 "Ada" 42%    42 42`},
		{`{{len .list}} {{index .list 1}} {{index . "First Name"}} {{.o.x.y}} {{index .o "x" "y"}}`, "2 b Ada 7 7"},
		{`{{if .vip}}VIP{{else}}dear{{end}} {{or .nick .name}} {{or .nick "friend"}} {{with .nick}}{{.}}{{else}}none{{end}}`, "dear Ada friend none"},
		{`{{if and .vip .vip.level}}x{{end}}{{if eq .plan "gold"}}x{{end}}{{if gt .age 17}}x{{end}}{{range .none}}x{{else}}empty{{end}}`, "empty"},
		{`{{if index . "Last Name"}}x{{else}}no{{end}} {{or (index . "Last Name") "Smith"}} {{$u := .name}}{{$u}}`,
			"no Smith Ada"},
		{`{{with $.o}}{{if $.vip}}x{{end}}{{.x.y}}{{end}} {{if .o.missing.deeper}}x{{end}}`, "7 "},
		{`{{range $i, $v := .list}}{{$i}}{{$v}}{{end}} {{range 3}}{{.}}{{end}}`, "0a1b 012"},
		{`50%! {{.percent}} {{"{{"}}x}}`, "50%! 50%! off {{x}}"},
		{`{{- "" -}}  tight {{/* a comment */}}`, "tight "},
	} {
		b := *testBatch
		b.Text = test.text
		if got := filled(t, &b, data); got != test.want {
			t.Errorf("%s: got %q, want %q", test.text, got, test.want)
		}
	}
}

// What a recipient's data does not hold, or cannot be formatted, ends that recipient.
func TestUnfilled(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, data, want string }{
		{`{{.name}}`, `{}`, `no value for the merge field "name" of the text`},
		{`{{.o.x}}`, `{"o":{}}`, `no value for the merge field "x" of the text`},
		{`{{index . "First Name"}}`, `{}`, `no value for the merge field "First Name" of the text`},
		{`{{range .l}}{{.x}}{{end}}`, `{"l":[{}]}`, `no value for the merge field "x" of the text`},
		{`{{or .a .b}}`, `{}`, `has none of the fields of an expression`},
		{`{{printf "%d" .v}}`, `{"v":"many"}`, `does not fit its values`},
		{`{{printf "%d %d" .v}}`, `{"v":1}`, `does not fit its values`},
		{`{{printf "%s"}}`, `{}`, `does not fit its values`},
		{`{{gt .v 1}}`, `{"v":"many"}`, `have no order`},
		{`{{index .l 5}}`, `{"l":[1]}`, `the list has 1 values`},
	} {
		b := *testBatch
		b.Text = test.text
		l, err := compose.New(&b)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if _, err := l.Compose(to(&b, 1, "u@a.test", test.data), nil); err == nil ||
			!strings.Contains(err.Error(), test.want) {
			t.Errorf("%s with %s: got %v, want %q in it", test.text, test.data, err, test.want)
		}
	}
}

// A template that cannot be read is the batch's fault, and says how to write it.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ text, want string }{
		{`Hi {{name}}`, `a field is written with a dot: {{.name}}`},
		{`Hi {{.First Name}}`, `{{index . "First Name"}}`},
		{`Hi {{ .First-Name }}`, `{{index . "First-Name"}}`},
		{`Hi {{if .First Name}}x{{end}}`, `{{index . "First Name"}}`},
		{`Hi {{.name`, `unclosed action`},
		{`Hi {{if .x}}`, `unexpected EOF`},
		{`.x{{color:red}}`, `{{"{{"}}`},
		{`{{_step 1}}`, `function "_step" not defined`},
		{`{{define "a"}}{{template "b"}}{{end}}{{define "b"}}{{template "a"}}{{end}}{{template "a"}}`, `calls itself`},
		{`{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, `calls itself`},
		{strings.Repeat("{{if .x}}", 200) + strings.Repeat("{{end}}", 200), `nested more than 100 deep`},
		{`{{` + strings.Repeat("(", 200) + `.x` + strings.Repeat(")", 200) + `}}`, `nested more than 100 deep`},
	} {
		for _, isHTML := range []bool{false, true} {
			b := *testBatch
			b.Text = test.text
			if isHTML {
				b.Text, b.HTML = "", test.text
			}
			if err := compose.Check(&b); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%.60s, HTML %t: got %v, want %q in it", test.text, isHTML, err, test.want)
			}
		}
	}
}

// What a template does for one message is bounded in octets, time and steps.
func TestLimits(t *testing.T) {
	t.Parallel()
	list := "[" + strings.TrimSuffix(strings.Repeat("0,", 2000), ",") + "]"
	tower := ""
	for i := range 40 {
		tower += fmt.Sprintf(`{{define "t%d"}}{{template "t%d" .}}{{template "t%d" .}}{{end}}`, i, i+1, i+1)
	}
	for _, test := range []struct{ name, text, data string }{
		{"range over range", `{{range .l}}{{range $.l}}{{range $.l}}{{range $.l}}{{end}}{{end}}{{end}}{{end}}`,
			`{"l":` + list + `}`},
		{"range over a number", `{{range 2000000000}}{{end}}`, `{}`},
		{"range over a field", `{{range .n}}{{end}}`, `{"n":9000000000000000000}`},
		{"wide", `{{printf "%999999d" 1}}`, `{}`},
		{"wide by a value", `{{printf "%*d" .n 1}}`, `{"n":999999}`},
		{"precise", `{{printf "%.999999f" 1.5}}`, `{}`},
		{"many widths", strings.Repeat(`{{printf "`+strings.Repeat("%1000d", 1)+`" 1}}`, 5000), `{}`},
		{"doubling", `{{$x := "aaaaaaaaaaaaaaaa"}}{{range 40}}{{$x = print $x $x}}{{end}}{{$x}}`, `{}`},
		{"doubling by printf", `{{$x := "aaaaaaaaaaaaaaaa"}}{{range 40}}{{$x = printf "%s%s" $x $x}}{{end}}{{$x}}`,
			`{}`},
		{"a tower of templates", tower + `{{define "t40"}}x{{end}}{{template "t0" .}}`, `{}`},
		{"much output", `{{range .l}}{{range $.l}}{{$.s}}{{end}}{{end}}`, `{"l":` + list + `,"s":"` +
			strings.Repeat("x", 5000) + `"}`},
		{"escaping over and over", `{{$x := .s}}{{range 100000}}{{$x = js $x}}{{end}}`, `{"s":"'''"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, isHTML := range []bool{false, true} {
				b := *testBatch
				b.Text = test.text
				if isHTML {
					b.Text, b.HTML = "", test.text
				}
				begun := time.Now()
				l, err := compose.New(&b)
				if err != nil {
					t.Fatal(err)
				}
				_, err = l.Compose(to(&b, 1, "u@a.test", test.data), nil)
				var limit *compose.LimitError
				if took := time.Since(begun); took > 30*time.Second {
					t.Errorf("HTML %t: it took %v", isHTML, took)
				}
				if !errors.As(err, &limit) {
					t.Errorf("HTML %t: got %v, want a limit", isHTML, err)
				}
			}
		})
	}
}

// Text that is made of HTML reads as the HTML does.
func TestTextOfHTML(t *testing.T) {
	t.Parallel()
	b := *testBatch
	b.Text = ""
	b.HTML = `<html><head><title>News</title><style>p{color:red}</style></head><body>
<!--[if mso]><p>Outlook</p><![endif]-->
<div style="display:none;max-height:0">Preheader &zwnj;&nbsp;</div>
<h1>Dear {{.name}},</h1>
<p>the   council meets
on <b>Monday</b>, see <a href="https://town.example/a?x=1&amp;id={{.id}}">the agenda</a> or <a href="https://town.example/">https://town.example/</a>.</p>
{{if .vip}}<p>A seat is <i>reserved</i>.</p>{{end}}
<ul><li>Budget</li><li>Parks &amp; trees</li></ul><ol><li>one<li>two</ol>
<table><tr><td>Room</td><td>12</td></tr><tr><td>Floor</td><td>{{.floor}}</td></tr></table>
<p>Line<br>break <img src="cid:logo" alt="[Logo]"><img src="x.gif" alt=""></p>
<hr><p>` + strings.Repeat("word ", 30) + `</p></body></html>`
	_, all := leaves(t, written(t, &b, `{"name":"A & B","id":"7 8","vip":true,"floor":3}`))
	want := `Dear A & B,

the council meets on Monday, see the agenda
(https://town.example/a?x=1&id=7%208) or https://town.example/.

A seat is reserved.

- Budget
- Parks & trees

1. one
2. two

Room 12
Floor 3

Line
break [Logo]

----------------------------------------

word word word word word word word word word word word word word word word
word word word word word word word word word word word word word word word
`
	if all[0].path != "/multipart/alternative/text/plain" || len(all) != 2 {
		t.Fatalf("parts: got %d, the first %s, want text and HTML", len(all), all[0].path)
	}
	if diff := cmp.Diff(want, strings.ReplaceAll(all[0].content, "\r\n", "\n")); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

// A message that is filled by many at once is each one's own.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	b := *testBatch
	b.HTML = `{{range .l}}<p>{{.}} {{$.n}}</p>{{end}}`
	b.Subject = "{{.n}}"
	l, err := compose.New(&b)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan string, 8)
	for g := range 8 {
		go func() {
			for i := range 200 {
				n := fmt.Sprintf("g%di%d", g, i)
				data, _ := json.Marshal(map[string]any{"n": n, "l": []string{"a", "b"}})
				m, err := l.Compose(to(&b, i, "u@a.test", string(data)), nil)
				if err != nil {
					failed <- err.Error()
					return
				}
				text := string(m.Bytes())
				if strings.Count(text, n) != 3 {
					failed <- text
					return
				}
				m.Release()
			}
			failed <- ""
		}()
	}
	for range 8 {
		if got := <-failed; got != "" {
			t.Errorf("got %s", got)
		}
	}
}
