package compose

import (
	"bytes"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	texttemplate "text/template"
	"text/template/parse"
)

// HasMergeFields reports whether a part of a batch is filled for each recipient.
func HasMergeFields(part string) bool { return strings.Contains(part, "{{") }

// A part is a text of a batch that may hold merge fields, {{.name}}: literals,
// which are the same for everybody, with a hole for each recipient between two
// of them. Literals go out as the client wrote them.
type part struct {
	name     string   // for messages to people
	literals []string // one more than there are holes
	fields   []field  // what fills the holes, when all of them are plain fields
	programs *sync.Pool
	isHTML   bool
}

// A field is one value of the recipient's data.
type field struct {
	path   []string
	escape func(string) string // nil: as it is
}

// A program is a part's template, ready to fill the holes.
type program struct {
	execute func(w io.Writer, data any) error
	run     *run
}

// newPart reads a part. The error says how to write it right, where the mistake
// is a usual one.
func newPart(name, content string, isHTML bool) (*part, error) {
	p := &part{name: name, isHTML: isHTML, literals: []string{content}}
	if !HasMergeFields(content) {
		return p, nil
	}
	main, execute, err := compile(name, content, isHTML, new(run))
	if err != nil {
		return nil, explain(name, content, err)
	}
	p.literals, p.fields = main.literals, main.fields
	if p.fields != nil {
		return p, nil
	}
	first := &program{execute, main.run}
	p.programs = &sync.Pool{New: func() any {
		main, execute, err := compile(name, content, isHTML, new(run))
		if err != nil {
			panic(err) // it was compiled before
		}
		return &program{execute, main.run}
	}}
	p.programs.Put(first)
	return p, nil
}

// holes is the number of values that fill the part.
func (p *part) holes() int { return len(p.literals) - 1 }

// fill appends what fills the holes to out, and where each of these values ends
// to ends.
func (p *part) fill(out []byte, ends []int, data map[string]any) ([]byte, []int, error) {
	if p.holes() == 0 {
		return out, ends, nil
	}
	start := len(out)
	if p.fields != nil {
		for _, f := range p.fields {
			v, ok := lookup(data, f.path)
			if !ok {
				return out, ends, p.missing(f.path[len(f.path)-1])
			}
			s := text(v)
			if f.escape != nil {
				s = f.escape(s)
			}
			if len(out)-start+len(s) > maxOutput {
				return out, ends, p.failed(&LimitError{fmt.Sprintf("writes more than %d octets", maxOutput)})
			}
			out = append(out, s...)
			ends = append(ends, len(out))
		}
		return out, ends, nil
	}
	g := p.programs.Get().(*program)
	defer func() {
		g.run.out, g.run.cuts = nil, nil
		p.programs.Put(g)
	}()
	g.run.reset(out, ends)
	before := len(ends)
	err := g.execute(g.run, data)
	out, ends = g.run.out, g.run.cuts
	if g.run.err != nil {
		err = g.run.err
	}
	if err != nil {
		var m missingError
		if errors.As(err, &m) {
			return out, ends, p.missing(m.field)
		}
		if found := missingKey.FindStringSubmatch(err.Error()); found != nil {
			return out, ends, p.missing(found[1])
		}
		return out, ends, p.failed(err)
	}
	if len(ends)-before != p.holes() {
		return out, ends, p.failed(fmt.Errorf("%d of its %d places were filled", len(ends)-before, p.holes()))
	}
	if p.isHTML && bytes.Contains(out[start:], []byte(unsafe)) {
		return out, ends, p.failed(errUnsafe)
	}
	return out, ends, nil
}

// unsafe is what html/template writes in place of a value that could do harm
// where it stands.
const unsafe = "ZgotmplZ"

var errUnsafe = errors.New("a value of the recipient's data is not safe in its place: " +
	"a link must be relative, or http, https, mailto, tel, sms, cid or geo; a style must be one plain value")

func (p *part) missing(field string) error {
	return fmt.Errorf("the recipient's data has no value for the merge field %q of the %s", field, p.name)
}

func (p *part) failed(err error) error {
	return fmt.Errorf("the %s cannot be filled: %w", p.name, err)
}

// missingKey finds the field in what both template packages say of a missing one.
var missingKey = regexp.MustCompile(`map has no entry for key "(.*?)"`)

// string is the whole part for a recipient.
func (p *part) string(data map[string]any) (string, error) {
	if p.holes() == 0 {
		return p.literals[0], nil
	}
	values, ends, err := p.fill(nil, nil, data)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	start := 0
	for i, end := range ends {
		b.WriteString(p.literals[i])
		b.Write(values[start:end])
		start = end
	}
	b.WriteString(p.literals[len(ends)])
	return b.String(), nil
}

var (
	spaced = regexp.MustCompile(`\{\{[^{}]*?\.([\pL\pN_]+(?:[ -]+[\pL\pN_]+)+)\s*(?:-?\}\}|\|)`)
	naked  = regexp.MustCompile(`\{\{-?\s*([\pL_][\pL\pN_]*)\s*-?\}\}`)
	noFunc = regexp.MustCompile(`function "([^"]*)" not defined`)
)

// explain adds to what is wrong with a template how to write it, where the
// mistake is a usual one.
func explain(name, content string, err error) error {
	if found := spaced.FindStringSubmatch(content); found != nil {
		return fmt.Errorf(`the %s cannot be read: %w; a field whose name has a space or hyphen is written {{index . "%s"}}`, name, err, found[1])
	}
	if missing := noFunc.FindStringSubmatch(err.Error()); missing != nil {
		for _, found := range naked.FindAllStringSubmatch(content, -1) {
			if found[1] == missing[1] {
				return fmt.Errorf(`the %s cannot be read: %w; a field is written with a dot: {{.%s}}`, name, err,
					found[1])
			}
		}
	}
	if strings.Contains(err.Error(), "{{") || strings.Contains(err.Error(), "unexpected") ||
		noFunc.MatchString(err.Error()) {
		return fmt.Errorf(`the %s cannot be read: %w; two braces that are not a merge field are written {{"{{"}}`, name,
			err)
	}
	return fmt.Errorf("the %s cannot be read: %w", name, err)
}

// compiled is the main template, taken apart.
type compiled struct {
	literals []string
	fields   []field
	run      *run
}

// compile reads a template, puts the counting into it, and takes its main
// template apart: where a literal stood, it cuts its output.
func compile(name, content string, isHTML bool, r *run) (c compiled, execute func(io.Writer, any) error, err error) {
	funcs := functions(r)
	var trees []*parse.Tree
	var main *parse.Tree
	var restore func()
	if isHTML {
		t, err := htmltemplate.New(name).Option("missingkey=error").Funcs(funcs).Parse(content)
		if err != nil {
			return c, nil, err
		}
		for _, t := range t.Templates() {
			if t.Tree != nil {
				trees = append(trees, t.Tree)
			}
		}
		main, execute = t.Tree, t.Execute
		restore = func() {}
		if main != nil {
			if err := prepare(trees); err != nil {
				return c, nil, err
			}
			if restore, err = escape(t, trees); err != nil {
				return c, nil, err
			}
		}
	} else {
		t, err := texttemplate.New(name).Option("missingkey=error").Funcs(funcs).Parse(content)
		if err != nil {
			return c, nil, err
		}
		for _, t := range t.Templates() {
			if t.Tree != nil {
				trees = append(trees, t.Tree)
			}
		}
		main, execute = t.Tree, t.Execute
		if main != nil {
			if err := prepare(trees); err != nil {
				return c, nil, err
			}
		}
		restore = func() {}
	}
	c.run = r
	if main == nil || main.Root == nil { // nothing but definitions
		c.literals = []string{""}
		return c, execute, nil
	}
	restore()
	c.literals, c.fields = takeApart(main)
	return c, execute, nil
}

// takeApart returns the literals at the top of a template, and puts cuts into
// their place. The fields are what stands between them, when that is nothing
// else; several nodes in a row fill one hole.
func takeApart(t *parse.Tree) (literals []string, fields []field) {
	plain := true
	literals = []string{""}
	var nodes []parse.Node
	open := false // whether a hole is being filled
	for i, n := range t.Root.Nodes {
		if i == 0 { // the count of prepare
			nodes = append(nodes, n)
			continue
		}
		if text, ok := n.(*parse.TextNode); ok {
			if open {
				nodes = append(nodes, cutNode())
				literals, open = append(literals, ""), false
			}
			literals[len(literals)-1] += string(text.Text)
			continue
		}
		nodes = append(nodes, n)
		if f, ok := plainField(n); ok && !open {
			fields = append(fields, f)
		} else {
			plain = false
		}
		open = true
	}
	if open {
		nodes = append(nodes, cutNode())
		literals = append(literals, "")
	}
	t.Root.Nodes = nodes
	if !plain {
		fields = nil
	}
	return literals, fields
}

// plainField is what {{.a.b}} names, if n is that and no more.
func plainField(n parse.Node) (f field, ok bool) {
	action, ok := n.(*parse.ActionNode)
	if !ok || len(action.Pipe.Decl) > 0 || len(action.Pipe.Cmds) == 0 || len(action.Pipe.Cmds[0].Args) != 1 {
		return f, false
	}
	named, ok := action.Pipe.Cmds[0].Args[0].(*parse.FieldNode)
	if !ok {
		return f, false
	}
	f.path = named.Ident
	switch len(action.Pipe.Cmds) {
	case 1:
		return f, true
	case 2:
		f.escape, ok = plainEscaper(action.Pipe.Cmds[1])
		return f, ok
	}
	return f, false
}

// plainEscaper is what html/template has a value go through, where that is
// nothing but the replacement of &, <, >, " and '.
func plainEscaper(cmd *parse.CommandNode) (func(string) string, bool) {
	e := escapers()
	switch commandName(cmd) {
	case e.text, e.attribute:
		return htmltemplate.HTMLEscapeString, true
	case noteName:
		return func(s string) string { return note(s) }, true
	}
	return nil, false
}

// prepare checks the templates of a part, and adds to them what makes their
// work bounded and their optional fields optional.
func prepare(trees []*parse.Tree) error {
	calls := map[string][]string{}
	for _, t := range trees {
		w := &rewriter{tree: t}
		w.list(t.Root, 0)
		if w.err != nil {
			return w.err
		}
		calls[t.Name] = w.calls
		t.Root.Nodes = slices.Insert(t.Root.Nodes, 0, w.stepNode(w.nodes))
	}
	for name := range calls {
		if slices.Contains(reached(calls, name), name) {
			return fmt.Errorf("the template %q calls itself, and would never end", name)
		}
	}
	return nil
}

// reached are the templates that one calls, and those that they call.
func reached(calls map[string][]string, name string) (all []string) {
	todo := slices.Clone(calls[name])
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		if !slices.Contains(all, next) {
			all = append(all, next)
			todo = append(todo, calls[next]...)
		}
	}
	return all
}
