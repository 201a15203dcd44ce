package preflight

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"enotify/queue"
	"enotify/queue/insight"
)

// A Rendering is the result of writing one message for each shape of merge data.
type Rendering struct {
	Err     error  // why no message of the batch can be composed at all
	Sample  []byte // the message for one of the recipients, as it would be sent; nil when there is none
	Largest int    // octets of the largest message
	Written int    // messages that were rendered
	Gaps    []Gap  // recipients who would get nothing
	Left    []Gap  // recipients whose message has braces left in it
	Empty   []Gap  // recipients for whom a field is empty that the message needs
}

// A Gap is why some recipients would get no message, or a broken one.
type Gap struct {
	Why string
	N   int
	Who []string // some of them
}

// namedPerGap recipients are named; the others are counted.
const namedPerGap = 10

// Render writes a message of the batch for each shape of the census by write;
// alike names recipients of a shape.
func Render(b *queue.Batch, c *insight.Census, write func(m queue.Message) ([]byte, error),
	alike func(s insight.Shape, n int) ([]string, error)) (Rendering, error) {
	shapes := c.Shapes
	if len(shapes) == 0 { // nothing is merged, and all messages are one
		shapes = []insight.Shape{{N: c.Sendable, Address: "somebody@example.com", Data: json.RawMessage("{}")}}
	}
	var r Rendering
	note := func(gaps []Gap, why string, s insight.Shape) ([]Gap, error) {
		i := slices.IndexFunc(gaps, func(g Gap) bool { return g.Why == why })
		if i < 0 {
			i, gaps = len(gaps), append(gaps, Gap{Why: why})
		}
		gaps[i].N += s.N
		if len(c.Shapes) == 0 || len(gaps[i].Who) >= namedPerGap {
			return gaps, nil
		}
		who, err := alike(s, namedPerGap-len(gaps[i].Who))
		gaps[i].Who = append(gaps[i].Who, who...)
		return gaps, err
	}
	for _, s := range shapes {
		m := queue.Message{Batch: b, Seq: 1, Address: s.Address, Domain: s.Address[lastAt(s.Address)+1:], Data: s.Data}
		message, failed := write(m)
		var err error
		if failed != nil {
			if r.Gaps, err = note(r.Gaps, failed.Error(), s); err != nil {
				return r, err
			}
			continue
		}
		r.Written++
		r.Largest = max(r.Largest, len(message))
		if r.Sample == nil {
			r.Sample = message
		}
		if p, err := readMessage(message); err == nil && p.braces() {
			if r.Left, err = note(r.Left, "a {{ or }} is left in the message", s); err != nil {
				return r, err
			}
		}
		for _, name := range emptyFields(m, write) {
			if r.Empty, err = note(r.Empty, fmt.Sprintf("the merge field %q is empty", name), s); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// emptyFields lists the fields whose value is an empty text though the message needs
// them: without the field it could not be written. What the template treats as
// optional is not among them.
func emptyFields(m queue.Message, write func(m queue.Message) ([]byte, error)) (names []string) {
	var data map[string]any
	if json.Unmarshal(m.Data, &data) != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(data)) {
		value, is := data[name].(string)
		if !is || strings.TrimSpace(value) != "" {
			continue
		}
		without := maps.Clone(data)
		delete(without, name)
		m.Data, _ = json.Marshal(without)
		if _, err := write(m); err != nil {
			names = append(names, name)
		}
	}
	return names
}
