package recipients_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/recipients"
)

func TestMergeFields(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"no fields", nil},
		{"{{.name}} and {{ .name }} of {{.ward}}", []string{"name", "ward"}},
		{"{{if .vip}}{{.title}}{{else if eq .lang \"de\"}}{{.anrede}}{{end}}", []string{"anrede", "title"}},
		{"{{.a | printf \"%s %s\" .b}}", []string{"a", "b"}},
		{"{{(.a).b}}", []string{"a"}},
		{"{{with .a}}{{.b}}{{$.c}}{{else}}{{.d}}{{end}}", []string{"c", "d"}},
		{"{{range .a}}{{.b}}{{end}}{{.c}}", []string{"c"}},
		{"{{$x := .a}}{{$x}}", []string{"a"}},
		{"{{define \"t\"}}{{.inner}}{{end}}{{template \"t\" .a}}{{template \"t\"}}", []string{"a"}},
		{"{{index . \"first name\"}}", []string{"first name"}},
		{"{{if index . \"first name\"}}x{{end}}", nil},
		{"{{if .name}}Dear {{.name}}{{end}}{{if and .a .b}}{{.a}}{{.c}}{{end}}", []string{"c"}},
		{"{{or .name \"friend\"}}{{if eq .plan \"gold\"}}x{{end}}{{with .x}}{{.}}{{end}}", nil},
		{"{{unknown .a}}", []string{"a"}}, // not ours to say
		{"{{.a", nil},
	} {
		if diff := cmp.Diff(tt.want, recipients.MergeFields(tt.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.in, diff)
		}
	}
}
