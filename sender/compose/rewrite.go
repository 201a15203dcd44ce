package compose

import (
	"fmt"
	"strconv"
	"text/template/parse"
)

// maxDepth is the deepest nesting that a template may have.
const maxDepth = 100

// A rewriter goes through one template. It counts the nodes, so that each turn
// of a range can be charged with what it evaluates, and has fields that may be
// missing asked for by a function that allows it: in conditions, in
// {{range}}, and of and, or and not.
type rewriter struct {
	tree  *parse.Tree
	nodes int
	calls []string // templates
	err   error
}

func (w *rewriter) list(l *parse.ListNode, depth int) {
	if l == nil || w.err != nil {
		return
	}
	if depth > maxDepth {
		w.err = fmt.Errorf("a template is nested more than %d deep", maxDepth)
		return
	}
	for _, n := range l.Nodes {
		w.nodes++
		switch n := n.(type) {
		case *parse.ActionNode:
			if w.pipe(n.Pipe, false, depth) && len(n.Pipe.Decl) == 0 {
				n.Pipe.Cmds = append(n.Pipe.Cmds, w.command(givenName))
			}
		case *parse.IfNode:
			w.pipe(n.Pipe, true, depth)
			if len(n.Pipe.Decl) == 0 {
				n.Pipe.Cmds = append(n.Pipe.Cmds, w.command(truthName))
			}
			w.list(n.List, depth+1)
			w.list(n.ElseList, depth+1)
		case *parse.WithNode:
			w.pipe(n.Pipe, true, depth)
			w.list(n.List, depth+1)
			w.list(n.ElseList, depth+1)
		case *parse.RangeNode:
			w.pipe(n.Pipe, true, depth)
			before := w.nodes
			w.list(n.List, depth+1)
			n.List.Nodes = append([]parse.Node{w.stepNode(1 + w.nodes - before)}, n.List.Nodes...)
			w.list(n.ElseList, depth+1)
		case *parse.TemplateNode:
			w.calls = append(w.calls, n.Name)
			if n.Pipe != nil {
				w.pipe(n.Pipe, false, depth)
			}
		}
	}
}

// pipe goes through a pipeline. optional says that fields in it may be missing.
// It reports whether the value of the whole may be missing though it was not
// optional: {{or .a .b}}.
func (w *rewriter) pipe(p *parse.PipeNode, optional bool, depth int) (maybe bool) {
	if depth > maxDepth {
		w.err = fmt.Errorf("a template is nested more than %d deep", maxDepth)
		return false
	}
	for _, cmd := range p.Cmds {
		w.nodes++
		inner := optional
		switch name := commandName(cmd); name {
		case "and", "or":
			inner, maybe = true, !optional
		case "not", "eq", "ne":
			inner = true
		default:
			if reserved(name) {
				w.err = fmt.Errorf("function %q not defined", name)
				return false
			}
		}
		if inner && commandName(cmd) == "index" {
			w.optionalIndex(cmd)
		}
		for i, arg := range cmd.Args {
			w.nodes++
			switch arg := arg.(type) {
			case *parse.PipeNode:
				w.pipe(arg, inner, depth+1)
			case *parse.ChainNode:
				if inside, ok := arg.Node.(*parse.PipeNode); ok {
					w.pipe(inside, inner, depth+1)
				}
			case *parse.IdentifierNode:
				if reserved(arg.Ident) && i > 0 {
					w.err = fmt.Errorf("function %q not defined", arg.Ident)
				}
			case *parse.FieldNode:
				if inner {
					w.get(cmd, i, &parse.DotNode{NodeType: parse.NodeDot, Pos: arg.Pos}, arg.Ident)
				}
			case *parse.VariableNode:
				if inner && len(arg.Ident) > 1 {
					w.get(cmd, i, &parse.VariableNode{NodeType: parse.NodeVariable, Pos: arg.Pos, Ident: arg.Ident[:1]},
						arg.Ident[1:])
				}
			}
		}
	}
	return maybe
}

// get replaces an argument of a command by a call of get. One that is the whole
// command is replaced in place, so that what follows in the pipeline gets it.
func (w *rewriter) get(cmd *parse.CommandNode, i int, from parse.Node, path []string) {
	args := []parse.Node{identifier(getName), from}
	for _, name := range path {
		args = append(args, stringNode(name))
	}
	if len(cmd.Args) == 1 {
		cmd.Args = args
		return
	}
	call := &parse.CommandNode{NodeType: parse.NodeCommand, Pos: cmd.Pos, Args: args}
	cmd.Args[i] = &parse.PipeNode{NodeType: parse.NodePipe, Pos: cmd.Pos, Cmds: []*parse.CommandNode{call}}
}

// optionalIndex has {{index . "First Name"}} ask as {{.FirstName}} does.
func (w *rewriter) optionalIndex(cmd *parse.CommandNode) {
	for _, arg := range cmd.Args[min(2, len(cmd.Args)):] {
		if _, ok := arg.(*parse.StringNode); !ok {
			return
		}
	}
	if len(cmd.Args) > 2 {
		cmd.Args[0] = identifier(getName)
	}
}

func (w *rewriter) command(function string) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Args: []parse.Node{identifier(function)}}
}

// stepNode is {{$_ := _step n}}: a declaration, which writes nothing, wherever
// it stands in HTML.
func (w *rewriter) stepNode(n int) parse.Node {
	count := &parse.NumberNode{NodeType: parse.NodeNumber, IsInt: true, Int64: int64(n), Text: strconv.Itoa(n)}
	return silent(identifier(stepName), count)
}

func cutNode() parse.Node { return silent(identifier(cutName)) }

func silent(args ...parse.Node) parse.Node {
	cmd := &parse.CommandNode{NodeType: parse.NodeCommand, Args: args}
	nothing := &parse.VariableNode{NodeType: parse.NodeVariable, Ident: []string{"$_"}}
	return &parse.ActionNode{NodeType: parse.NodeAction, Pipe: &parse.PipeNode{
		NodeType: parse.NodePipe, Decl: []*parse.VariableNode{nothing}, Cmds: []*parse.CommandNode{cmd},
	}}
}

func identifier(name string) *parse.IdentifierNode { return parse.NewIdentifier(name) }

func stringNode(s string) *parse.StringNode {
	return &parse.StringNode{NodeType: parse.NodeString, Quoted: strconv.Quote(s), Text: s}
}

// commandName is the function that a command calls, "" for a value.
func commandName(cmd *parse.CommandNode) string {
	if len(cmd.Args) > 0 {
		if id, ok := cmd.Args[0].(*parse.IdentifierNode); ok {
			return id.Ident
		}
	}
	return ""
}
