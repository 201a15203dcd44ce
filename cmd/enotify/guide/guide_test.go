package guide_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"enotify/cmd/enotify/guide"
)

const top = "../../.." // of the repository

func readFile(t *testing.T, name string) string {
	t.Helper()
	octets, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(octets)
}

func TestEveryPageIsATopic(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	var topics []string
	for _, topic := range guide.Topics() {
		topics = append(topics, topic.Name+".md")
		if topic.Title == "" {
			t.Errorf("%s.md does not begin with a heading", topic.Name)
		}
	}
	slices.Sort(topics)
	if diff := cmp.Diff(files, topics); diff != "" {
		t.Errorf("pages and topics differ (-pages +topics):\n%s", diff)
	}
}

var link = regexp.MustCompile(`\]\(([^)]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	pages := map[string]string{"README.md": top}
	for _, topic := range guide.Topics() {
		pages[topic.Name+".md"] = "."
	}
	for name, folder := range pages {
		for _, match := range link.FindAllStringSubmatch(readFile(t, filepath.Join(folder, name)), -1) {
			target, _, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(folder, target)); err != nil {
				t.Errorf("%s: a link leads to %s: %v", name, target, err)
			}
		}
	}
}

func TestSizeOfReadme(t *testing.T) {
	t.Parallel()
	const least, most = 6000, 8192
	if got := len(readFile(t, filepath.Join(top, "README.md"))); got < least || got > most {
		t.Errorf("README.md has %d octets, want %d to %d; what a task needs belongs in the guide", got, least, most)
	}
}

// A row of the package map: the folder, and the files to begin with. A folder that
// begins with / lies in the one above it that does not.
var mapRow = regexp.MustCompile("(?m)^\\| `([a-z0-9/]+)` \\|.*\\|(.*)\\|$")

// TestPackageMap compares the map in the README with the folders that have Go files.
func TestPackageMap(t *testing.T) {
	t.Parallel()
	var named []string
	above := ""
	for _, row := range mapRow.FindAllStringSubmatch(readFile(t, filepath.Join(top, "README.md")), -1) {
		folder := row[1]
		if strings.HasPrefix(folder, "/") {
			folder = above + folder
		} else {
			above = folder
		}
		named = append(named, folder)
		for _, file := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[2], -1) {
			if _, err := os.Stat(filepath.Join(top, folder, file[1])); err != nil {
				t.Errorf("package map: begin with %s: %v", file[1], err)
			}
		}
	}
	var folders []string
	err := fs.WalkDir(os.DirFS(top), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && name != "." || entry.Name() == "testdata" ||
			entry.Name() == "bin"):
			return fs.SkipDir
		case strings.HasSuffix(name, ".go") && !slices.Contains(folders, path.Dir(name)):
			folders = append(folders, path.Dir(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(named)
	slices.Sort(folders)
	if diff := cmp.Diff(folders, named); diff != "" {
		t.Errorf("folders with Go files and the package map of README.md differ (-folders +map):\n%s", diff)
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	const page = "# Title\n\nSee [Limits](limits.md) and `enotify run`, **now**; [a.go](../../../x/a.go), [log](../../../LOG.md).\n<!-- note: hidden -->\n```sh exits=2\nenotify run\n```\n" +
		"| a | longer |\n|---|---|\n| 1 | 2 |\n"
	for _, c := range []struct {
		styled  bool
		columns int
		want    string
	}{
		{false, 0, "Title\n\nSee Limits (`enotify help limits`) and `enotify run`, now; x/a.go, log (LOG.md).\n\n    enotify run\n\na  longer\n1  2\n"},
		{true, 0, "\x1b[1mTitle\x1b[0m\n\nSee Limits (\x1b[1menotify help limits\x1b[0m) and \x1b[1menotify run\x1b[0m, \x1b[1mnow\x1b[0m; x/a.go, log (LOG.md).\n\n    enotify run\n\na  longer\n1  2\n"},
	} {
		var got strings.Builder
		if err := guide.Render(&got, page, c.styled, c.columns); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got.String()); diff != "" {
			t.Errorf("styled %v (-want +got):\n%s", c.styled, diff)
		}
	}
}

// In a narrow terminal prose and list items are wrapped; diagrams are not.
func TestRenderInColumns(t *testing.T) {
	t.Parallel()
	const page = "One two three four [five](limits.md) six.\n\n    a --> diagram that is longer than the terminal\n\n" +
		"Two items:\n- first of the items,\nwritten in two lines\n10. `second second` item\n"
	const want = "One two three four\nfive (\x1b[1menotify help\nlimits\x1b[0m) six.\n\n" +
		"    a --> diagram that is longer than the terminal\n\n" +
		"Two items:\n- first of the\n  items, written in\n  two lines\n10. \x1b[1msecond second\x1b[0m\n    item\n"
	var got strings.Builder
	if err := guide.Render(&got, page, true, 20); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
