package compose

import (
	"errors"
	"fmt"
	"html/template"
	"math/big"
	"reflect"
	"strings"
	"unicode/utf8"
)

// functions are the template functions that differ from text/template's own:
// numbers of JSON and CSV compare and format as numbers, a field that is missing
// is an error by whatever function it is asked for, and nothing grows without end.
func functions(r *run) map[string]any {
	return map[string]any{
		"eq": equal, "ne": func(a, b any) (bool, error) { same, err := equal(a, b); return !same, err },
		"lt": ordered(func(c int) bool { return c < 0 }), "le": ordered(func(c int) bool { return c <= 0 }),
		"gt": ordered(func(c int) bool { return c > 0 }), "ge": ordered(func(c int) bool { return c >= 0 }),
		"not":      func(v any) bool { return !truth(v) },
		"index":    index,
		"printf":   r.printf,
		"print":    func(args ...any) (string, error) { return r.made(fmt.Sprint(args...)) },
		"println":  func(args ...any) (string, error) { return r.made(fmt.Sprintln(args...)) },
		"html":     func(args ...any) (string, error) { return r.made(template.HTMLEscaper(args...)) },
		"js":       func(args ...any) (string, error) { return r.made(template.JSEscaper(args...)) },
		"urlquery": func(args ...any) (string, error) { return r.made(template.URLQueryEscaper(args...)) },
		"call": func(any, ...any) (string, error) {
			return "",
				errors.New("there is nothing to call in a message")
		},
		stepName:  r.step,
		cutName:   r.cut,
		getName:   get,
		truthName: truth,
		givenName: given,
		noteName:  note,
	}
}

// Names of functions that the compiler adds to a template. Nobody else may
// write them: see reserved.
const (
	stepName  = "_step"  // counts what is about to be evaluated
	cutName   = "_cut"   // ends a piece of the output
	getName   = "_get"   // a field that may be missing
	truthName = "_truth" // whether a condition holds
	givenName = "_given" // the value of an expression of fields that may be missing
	noteName  = "_note"  // a value within a comment
)

func reserved(function string) bool { return strings.HasPrefix(function, "_") }

// get is a field where it may be missing: nil then.
func get(data any, path ...string) any {
	v, _ := lookup(data, path)
	return v
}

// given refuses what {{or .a .b}} leaves when the recipient has neither.
func given(v any) (any, error) {
	if v == nil {
		return nil, errNothing
	}
	return v, nil
}

var errNothing = errors.New("the recipient's data has none of the fields of an expression")

// truth is what {{if}} asks: zero, "", an empty list and what is missing are false.
func truth(v any) bool {
	if n, ok := v.(decimal); ok {
		r, ok := rational(n)
		return ok && r.Sign() != 0
	}
	holds, _ := template.IsTrue(v)
	return holds
}

// note is a value within a comment, where Outlook reads HTML and everybody else
// nothing: as text, and without an end of the comments of style sheets.
func note(v any) string {
	if v == nil {
		return ""
	}
	return strings.ReplaceAll(template.HTMLEscapeString(text(v)), "*/", "* /")
}

// rational is the value of a number, or of a text that reads as one.
func rational(v any) (*big.Rat, bool) {
	switch value := reflect.ValueOf(v); value.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return new(big.Rat).SetInt64(value.Int()), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return new(big.Rat).SetUint64(value.Uint()), true
	case reflect.Float32, reflect.Float64:
		r := new(big.Rat).SetFloat64(value.Float())
		return r, r != nil
	case reflect.String:
		s := value.String()
		if s == "" || len(s) > maxDigits || strings.Trim(s, "+-0123456789.") != "" {
			return nil, false // also what Rat would take: fractions, exponents without end
		}
		return new(big.Rat).SetString(s)
	}
	return nil, false
}

// maxDigits of a text are looked at as a number.
const maxDigits = 64

func isNumber(v any) bool {
	switch reflect.ValueOf(v).Kind() {
	case reflect.String:
		_, ok := v.(decimal)
		return ok
	case reflect.Invalid, reflect.Bool, reflect.Map, reflect.Slice:
		return false
	}
	return true
}

// compare puts two values in order: as numbers where one is a number and the
// other reads as one, as CSV files have them, else as text.
func compare(a, b any) (order int, comparable bool) {
	if isNumber(a) || isNumber(b) {
		x, isX := rational(a)
		y, isY := rational(b)
		if !isX || !isY {
			return 0, false
		}
		return x.Cmp(y), true
	}
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	if x.Kind() != reflect.String || y.Kind() != reflect.String {
		return 0, false
	}
	return strings.Compare(x.String(), y.String()), true
}

// equal reports whether a is one of others. What cannot be compared, or is
// missing, equals nothing.
func equal(a any, others ...any) (bool, error) {
	if len(others) == 0 {
		return false, errors.New("eq: two values are needed")
	}
	for _, b := range others {
		if order, ok := compare(a, b); ok && order == 0 {
			return true, nil
		}
		if x, ok := a.(bool); ok && b == any(x) {
			return true, nil
		}
	}
	return false, nil
}

// ordered is lt, le, gt or ge. What is missing is in no order to anything.
func ordered(holds func(order int) bool) func(a, b any) (bool, error) {
	return func(a, b any) (bool, error) {
		if a == nil || b == nil {
			return false, nil
		}
		order, ok := compare(a, b)
		if !ok {
			return false, fmt.Errorf("%s and %s have no order", brief(a), brief(b))
		}
		return holds(order), nil
	}
}

// brief is a value for an error.
func brief(v any) string {
	s := []rune(text(v))
	if len(s) > 40 {
		s = append(s[:40], '…')
	}
	return fmt.Sprintf("%q", string(s))
}

// A missingError says that a recipient has no value for a field.
type missingError struct{ field string }

func (e missingError) Error() string { return fmt.Sprintf("map has no entry for key %q", e.field) }

// index is a value of an object or a list; one that is not there is an error.
func index(item any, keys ...any) (any, error) {
	for _, key := range keys {
		switch within := item.(type) {
		case map[string]any:
			name := text(key)
			inner, ok := within[name]
			if !ok {
				return nil, missingError{name}
			}
			item = inner
		case []any:
			i, ok := rational(key)
			if !ok || !i.IsInt() || i.Sign() < 0 || i.Cmp(big.NewRat(int64(len(within)), 1)) >= 0 {
				return nil, fmt.Errorf("index: the list has %d values, and no number %s", len(within), brief(key))
			}
			item = within[i.Num().Int64()]
		default:
			return nil, fmt.Errorf("index: %s is no object and no list", brief(item))
		}
	}
	return item, nil
}

const (
	maxWidth = 1000    // of a value that printf writes, in runes
	maxMade  = 1 << 20 // octets of a value that a function makes
)

// printf is fmt.Sprintf, but that a number may come as the text of one and has
// a width one could read, and that what it cannot format is an error.
func (r *run) printf(format string, args ...any) (string, error) {
	args = append([]any(nil), args...)
	next := 0
	for rest := format; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			break
		}
		rest = rest[i+1:]
		for { // flags, width, precision
			n := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
			if n > 6 {
				return "", errWidth
			}
			wide := 0
			for _, c := range rest[:n] {
				wide = 10*wide + int(c-'0')
			}
			if wide > maxWidth {
				return "", errWidth
			}
			rest = rest[n:]
			if rest == "" || !strings.ContainsRune("+-# .*[]", rune(rest[0])) {
				break
			}
			switch rest[0] {
			case '[', ']':
				return "", errors.New("printf: values by number, %[1]s, are not supported; name them in their order")
			case '*':
				if next < len(args) {
					n, ok := rational(args[next])
					if !ok || !n.IsInt() || n.Num().CmpAbs(big.NewInt(maxWidth)) > 0 {
						return "", errWidth
					}
					args[next] = int(n.Num().Int64())
				}
				next++
			}
			rest = rest[1:]
		}
		verb, size := utf8.DecodeRuneInString(rest)
		rest = rest[size:]
		if size == 0 || verb == '%' {
			continue
		}
		if next < len(args) {
			args[next] = asVerb(verb, args[next])
		}
		next++
	}
	s := fmt.Sprintf(format, args...)
	if strings.Contains(s, "%!") && !strings.Contains(format, "%!") && !anyHas(args, "%!") {
		return "", fmt.Errorf("printf: the format %q does not fit its values", format)
	}
	return r.made(s)
}

var errWidth error = &LimitError{fmt.Sprintf("asks printf for a width or precision over %d", maxWidth)}

func anyHas(args []any, what string) bool {
	for _, a := range args {
		if s := reflect.ValueOf(a); s.Kind() == reflect.String && strings.Contains(s.String(), what) {
			return true
		}
	}
	return false
}

// asVerb is a value in the type that a verb of printf wants.
func asVerb(verb rune, v any) any {
	switch verb {
	case 'd', 'b', 'o', 'O', 'c', 'U':
		if n, ok := rational(v); ok && n.IsInt() {
			if n.Num().IsInt64() {
				return n.Num().Int64()
			}
			return n.Num()
		}
	case 'f', 'F', 'e', 'E', 'g', 'G':
		if n, ok := rational(v); ok {
			f, _ := n.Float64()
			return f
		}
	case 's', 'q', 'v':
		switch v.(type) {
		case int64, float64, decimal, template.URL, bool:
			if verb != 'v' {
				return text(v)
			}
		}
	}
	return v
}
