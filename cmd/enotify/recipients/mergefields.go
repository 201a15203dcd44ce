package recipients

import (
	"slices"
	"text/template/parse"
)

// MergeFields lists the fields of the recipient's data that a part of a batch
// cannot do without: not those of conditions, of {{range}} and {{with}}, and of
// and, or, not, eq and ne, which may be missing. It looks at the main template:
// what a {{define}} asks for depends on what it is called with.
func MergeFields(content string) []string {
	t := parse.New("")
	t.Mode = parse.SkipFuncCheck
	if _, err := t.Parse(content, "", "", map[string]*parse.Tree{}); err != nil {
		return nil // what does not parse is reported as that
	}
	var f fieldNames
	f.of(t.Root, true)
	slices.Sort(f)
	return slices.Compact(f)
}

type fieldNames []string

// of walks a template. The dot is the recipient's data but within range and
// with; $ always is.
func (f *fieldNames) of(node parse.Node, dot bool) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, child := range n.Nodes {
			f.of(child, dot)
		}
	case *parse.ActionNode:
		f.of(n.Pipe, dot)
	case *parse.TemplateNode:
		f.of(n.Pipe, dot)
	case *parse.IfNode:
		f.branch(&n.BranchNode, dot, dot)
	case *parse.WithNode:
		f.branch(&n.BranchNode, dot, false)
	case *parse.RangeNode:
		f.branch(&n.BranchNode, dot, false)
	case *parse.PipeNode:
		if n == nil {
			return
		}
		for _, command := range n.Cmds {
			f.of(command, dot)
		}
	case *parse.CommandNode:
		f.command(n, dot)
	case *parse.ChainNode:
		f.of(n.Node, dot)
	case *parse.FieldNode:
		if dot {
			*f = append(*f, n.Ident[0])
		}
	case *parse.VariableNode:
		if n.Ident[0] == "$" && len(n.Ident) > 1 {
			*f = append(*f, n.Ident[1])
		}
	}
}

func (f *fieldNames) command(n *parse.CommandNode, dot bool) {
	function := ""
	if id, ok := n.Args[0].(*parse.IdentifierNode); ok {
		function = id.Ident
	}
	switch function {
	case "and", "or", "not", "eq", "ne":
		return
	case "index": // {{index . "First Name"}}
		if _, ofDot := n.Args[min(1, len(n.Args)-1)].(*parse.DotNode); ofDot && dot && len(n.Args) > 2 {
			if name, ok := n.Args[2].(*parse.StringNode); ok {
				*f = append(*f, name.Text)
			}
		}
	}
	for _, argument := range n.Args {
		f.of(argument, dot)
	}
}

// branch leaves out the condition: what is missing there is false, and what
// stands behind it is not reached: {{if .name}}Dear {{.name}}{{end}}.
func (f *fieldNames) branch(n *parse.BranchNode, dot, within bool) {
	var asked, inside fieldNames
	for _, command := range n.Pipe.Cmds {
		for _, argument := range command.Args {
			asked.of(argument, dot)
		}
	}
	inside.of(n.List, within)
	for _, field := range inside {
		if !slices.Contains(asked, field) {
			*f = append(*f, field)
		}
	}
	f.of(n.ElseList, dot)
}
