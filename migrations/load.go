package migrations

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

//go:embed *.sql functions/*.sql
var files embed.FS

// A schema is what a set of files describes.
type schema struct {
	migrations []migration // by version
	objects    []object    // each after those that it needs
}

// A migration is one numbered file.
type migration struct {
	version int    // counts from 1, without gaps
	name    string // "name" of 001_name.sql
	sql     string
}

func (m migration) String() string { return fmt.Sprintf("%03d_%s", m.version, m.name) }

var addsValue = regexp.MustCompile(`(?im)^\s*ALTER\s+TYPE\s+\S+\s+ADD\s+VALUE\b`)

// endsTransaction reports whether m must be committed before anything that comes
// after it: PostgreSQL refuses to use a new value of an enumeration earlier.
func (m migration) endsTransaction() bool { return addsValue.MatchString(m.sql) }

// An object is a function or a view, in a file of its own.
type object struct {
	name  string
	kind  string   // FUNCTION or VIEW
	after []string // names of the objects that it needs
	sql   string
}

func (o object) String() string { return "functions/" + o.name }

// hash is the same for equal texts alone.
func (o object) hash() string {
	sum := sha256.Sum256([]byte(o.sql))
	return hex.EncodeToString(sum[:8])
}

// load reads the files of fsys.
func load(fsys fs.FS) (s schema, err error) {
	if s.migrations, err = loadMigrations(fsys); err != nil {
		return schema{}, err
	}
	s.objects, err = loadObjects(fsys)
	return s, err
}

func loadMigrations(fsys fs.FS) ([]migration, error) {
	paths, err := fs.Glob(fsys, "*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, p := range paths {
		number, name, _ := strings.Cut(strings.TrimSuffix(p, ".sql"), "_")
		if version, err := strconv.Atoi(number); err != nil || version != i+1 || name == "" {
			return nil, fmt.Errorf("migration %s: want the name %03d_name.sql", p, i+1)
		}
		sql, err := fs.ReadFile(fsys, p)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{i + 1, name, string(sql)})
	}
	return all, nil
}

// definitions lists the functions and views that a text creates, each as "FUNCTION name"
// or "VIEW name". Every command of the CLI reads all files: a regular expression took
// longer than all else that it does there.
func definitions(sql string) (found []string) {
	for line := range strings.Lines(sql) {
		rest, ok := strings.CutPrefix(line, "CREATE OR REPLACE ")
		kind, name, named := strings.Cut(rest, " enotify.")
		if !ok || !named || kind != "FUNCTION" && kind != "VIEW" {
			continue
		}
		if end := strings.IndexFunc(name, notInName); end >= 0 {
			name = name[:end]
		}
		found = append(found, kind+" "+name)
	}
	return found
}

func notInName(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }

func loadObjects(fsys fs.FS) ([]object, error) {
	paths, err := fs.Glob(fsys, "functions/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	byName := map[string]object{}
	var names []string
	for _, p := range paths {
		sql, err := fs.ReadFile(fsys, p)
		if err != nil {
			return nil, err
		}
		o := object{name: strings.TrimSuffix(path.Base(p), ".sql"), sql: string(sql)}
		var name string
		found := definitions(o.sql)
		if len(found) == 1 {
			o.kind, name, _ = strings.Cut(found[0], " ")
		}
		if name != o.name {
			return nil, fmt.Errorf("%s: want one CREATE OR REPLACE FUNCTION or VIEW enotify.%s", p, o.name)
		}
		first, _, _ := strings.Cut(o.sql, "\n")
		if after, ok := strings.CutPrefix(first, "-- after: "); ok {
			o.after = strings.Split(strings.TrimSpace(after), ", ")
		}
		byName[o.name] = o
		names = append(names, o.name)
	}
	return inOrder(names, byName)
}

// inOrder puts each object after those that it needs, otherwise by name.
func inOrder(names []string, byName map[string]object) (ordered []object, err error) {
	const visiting, visited = 1, 2
	state := map[string]int{}
	var visit func(name, neededBy string) error
	visit = func(name, neededBy string) error {
		o, ok := byName[name]
		switch {
		case !ok:
			return fmt.Errorf("functions/%s.sql: it comes after %s, but there is no functions/%s.sql", neededBy, name,
				name)
		case state[name] == visiting:
			return fmt.Errorf("functions/%s.sql: it comes after itself, by way of %s", name, neededBy)
		case state[name] == visited:
			return nil
		}
		state[name] = visiting
		for _, need := range o.after {
			if err := visit(need, name); err != nil {
				return err
			}
		}
		state[name] = visited
		ordered = append(ordered, o)
		return nil
	}
	for _, name := range names {
		if err := visit(name, ""); err != nil {
			return nil, err
		}
	}
	return ordered, nil
}

// dependents lists the objects that need the one of that name, by way of others
// too, in the order of the schema.
func (want schema) dependents(name string) (all []object) {
	needed := []string{name}
	for _, o := range want.objects {
		if slices.ContainsFunc(o.after, func(n string) bool { return slices.Contains(needed, n) }) {
			needed = append(needed, o.name)
			all = append(all, o)
		}
	}
	return all
}

// Hash is the same for two binaries if and only if they bring the same schema:
// 16 hexadecimal digits, which may stand in a database's name.
func Hash() string { return ownHash() }

var ownHash = sync.OnceValue(func() string {
	s, err := load(files)
	if err != nil {
		panic(err) // the files are part of the binary
	}
	return s.hash()
})

func (want schema) hash() string {
	h := sha256.New()
	for _, m := range want.migrations {
		fmt.Fprintf(h, "%v %d\n%s", m, len(m.sql), m.sql)
	}
	for _, o := range want.objects {
		fmt.Fprintf(h, "%v %d\n%s", o, len(o.sql), o.sql)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
