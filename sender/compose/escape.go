package compose

import (
	"fmt"
	"html/template"
	"io"
	"sync"
	"text/template/parse"
)

// html/template finds out what a value must go through where it stands. But it
// also changes what the client wrote: comments go, and with them the layout
// that Outlook takes from conditional ones, and a stray < becomes &lt;. So the
// literals are put back once it has done its work.

// escape has html/template escape what fills the holes of t. What it returns
// puts the literals back; fields in comments are then written as text.
func escape(t *template.Template, trees []*parse.Tree) (restore func(), err error) {
	literals := map[*parse.TextNode][]byte{}
	for _, tree := range trees {
		each(tree.Root, func(n parse.Node) {
			if text, ok := n.(*parse.TextNode); ok {
				literals[text] = text.Text
			}
		})
	}
	// It escapes at the first execution; this one comes to an end at once.
	whole, err := t.New("whole").Parse(fmt.Sprintf("{{if .}}{{template %q}}{{end}}", t.Name()))
	if err != nil {
		return nil, err
	}
	if err := whole.Execute(io.Discard, nil); err != nil {
		return nil, err
	}
	return func() {
		for text, original := range literals {
			text.Text = original
		}
		comment := escapers().comment
		for _, tree := range trees {
			each(tree.Root, func(n parse.Node) {
				action, ok := n.(*parse.ActionNode)
				if !ok {
					return
				}
				for _, cmd := range action.Pipe.Cmds {
					if name := commandName(cmd); name != "" && name == comment {
						cmd.Args[0] = identifier(noteName)
					}
				}
			})
		}
	}, nil
}

// each calls visit for all nodes that write something.
func each(l *parse.ListNode, visit func(parse.Node)) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		visit(n)
		switch n := n.(type) {
		case *parse.IfNode:
			each(n.List, visit)
			each(n.ElseList, visit)
		case *parse.WithNode:
			each(n.List, visit)
			each(n.ElseList, visit)
		case *parse.RangeNode:
			each(n.List, visit)
			each(n.ElseList, visit)
		}
	}
}

// escaperNames are the functions that html/template has a value go through.
type escaperNames struct{ text, attribute, comment string }

// escapers asks html/template for its names, which are its own business.
var escapers = sync.OnceValue(func() escaperNames {
	last := func(content string) (name string) {
		t := template.Must(template.New("").Parse(content))
		_ = t.Execute(io.Discard, "")
		each(t.Tree.Root, func(n parse.Node) {
			if action, ok := n.(*parse.ActionNode); ok {
				name = commandName(action.Pipe.Cmds[len(action.Pipe.Cmds)-1])
			}
		})
		return name
	}
	return escaperNames{text: last("{{.}}"), attribute: last(`<p title="{{.}}">`), comment: last("<!--{{.}}-->")}
})
