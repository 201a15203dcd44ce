package localpg_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"enotify/queue/localpg"
)

// install makes a folder with programs that say they are of a version.
func install(t *testing.T, dir, version string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s'\n", version)
	for _, name := range []string{"postgres", "initdb"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestChoose(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	old := install(t, filepath.Join(root, "old"), "13.4")
	path := install(t, filepath.Join(root, "path"), "16.1")
	v9 := install(t, filepath.Join(root, "lib/9.6/bin"), "9.6.24")
	v15 := install(t, filepath.Join(root, "lib/15/bin"), "15.8 (Debian 15.8-0+deb12u1)")
	v18 := install(t, filepath.Join(root, "lib/18/bin"), "18beta2")
	places := []string{filepath.Join(root, "lib/*/bin")}
	none := filepath.Join(root, "none")

	for name, test := range map[string]struct {
		dirs, places []string
		major        int
		want         string // the folder, or what the error says
	}{
		"PATH first":              {[]string{none, path}, places, 0, path},
		"newest place":            {nil, places, 0, v18},
		"too old in PATH":         {[]string{old}, places, 0, v18},
		"the version of the data": {[]string{path}, places, 15, v15},
		"an old one for old data": {nil, places, 9, v9},
		"all too old": {[]string{old}, nil, 0, "PostgreSQL 13 in " + old +
			" is too old (15 or newer will do)"},
		"the data's version is not": {nil, places, 17, "PostgreSQL 17 is needed, but only 18 is installed (" + v18 +
			")"},
		"nothing installed": {[]string{none}, []string{none}, 0, "no PostgreSQL is installed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := localpg.Choose(t.Context(), test.dirs, test.places, test.major)
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if strings.Contains(got, "\n") {
				t.Errorf("got %q, want one line", got)
			}
		})
	}
}
