// Package migrations holds the schema of enotify as numbered SQL files and
// brings a database up to date with them.
//
// A file is named 001_name.sql, as tern names them, and is never changed once
// released: what comes later is a further file. Its statements run in one
// transaction, so that a file is applied whole or not at all, and the table
// enotify.schema_version says which ones have been.
package migrations

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// OldestPostgres is the oldest major version of PostgreSQL that the schema
// runs on.
const OldestPostgres = 15

//go:embed *.sql
var files embed.FS

// A migration is one SQL file.
type migration struct {
	version int    // counts from 1, without gaps
	name    string // "name" of 001_name.sql
	sql     string
}

func (m migration) String() string { return fmt.Sprintf("%03d_%s", m.version, m.name) }

// load reads the migrations of fsys in the order of their versions.
func load(fsys fs.FS) ([]migration, error) {
	paths, err := fs.Glob(fsys, "*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var all []migration
	for i, path := range paths {
		number, name, _ := strings.Cut(strings.TrimSuffix(path, ".sql"), "_")
		if version, err := strconv.Atoi(number); err != nil || version != i+1 || name == "" {
			return nil, fmt.Errorf("migration %s: the name should be %03d_name.sql", path, i+1)
		}
		sql, err := fs.ReadFile(fsys, path)
		if err != nil {
			return nil, err
		}
		all = append(all, migration{i + 1, name, string(sql)})
	}
	return all, nil
}

// Hash is the same for two binaries if and only if they bring the same
// migrations: 16 hexadecimal digits, which may stand in a database's name.
func Hash() string {
	h, err := hash(files)
	if err != nil {
		panic(err) // the files are part of the binary
	}
	return h
}

func hash(fsys fs.FS) (string, error) {
	all, err := load(fsys)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, m := range all {
		fmt.Fprintf(h, "%v %d\n%s", m, len(m.sql), m.sql)
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}
