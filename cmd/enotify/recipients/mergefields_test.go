package recipients_test

import (
	"testing"

	"enotify/cmd/enotify/recipients"

	"github.com/google/go-cmp/cmp"
)

func TestMergeFields(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"no fields", nil},
		{"{{.name}} and {{ .name }} of {{.ward}}", []string{"name", "ward"}},
		{"{{if .vip}}{{.title}}{{else if eq .lang \"de\"}}{{.anrede}}{{end}}", []string{"anrede", "lang", "title", "vip"}},
		{"{{.a | printf \"%s %s\" .b}}", []string{"a", "b"}},
		{"{{(.a).b}}", []string{"a"}},
		{"{{with .a}}{{.b}}{{$.c}}{{else}}{{.d}}{{end}}", []string{"a", "c", "d"}},
		{"{{range .a}}{{.b}}{{end}}{{.c}}", []string{"a", "c"}},
		{"{{$x := .a}}{{$x}}", []string{"a"}},
		{"{{define \"t\"}}{{.inner}}{{end}}{{template \"t\" .a}}{{template \"t\"}}", []string{"a"}},
		{"{{index . \"first name\"}}", nil},
		{"{{unknown .a}}", []string{"a"}}, // not ours to say
		{"{{.a", nil},
	} {
		if diff := cmp.Diff(tt.want, recipients.MergeFields(tt.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.in, diff)
		}
	}
}
