package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"enotify/migrations"
)

// anyMajor asks for the first version that is new enough.
const anyMajor = 0

// places are where packages of PostgreSQL put its programs, of one version
// beside the other, besides the folders of PATH.
var places = []string{
	"/usr/lib/postgresql/*/bin",                          // Debian
	"/usr/pgsql-*/bin",                                   // PGDG for Red Hat
	"/usr/lib/postgresql*/bin",                           // SUSE
	"/usr/lib64/postgresql-*/bin",                        // Gentoo
	"/usr/libexec/postgresql*",                           // Alpine
	"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew on ARM
	"/usr/local/opt/postgresql@*/bin",                    // Homebrew on Intel
	"/Applications/Postgres.app/Contents/Versions/*/bin", // Postgres.app
	"/usr/local/pgsql/bin",                               // built from source
}

// An installation is a folder with the programs of one version.
type installation struct {
	bin   string
	major int
}

// binaries returns the folder of the programs of a major version. What is not
// installed is fetched.
func binaries(ctx context.Context, major int) (bin string, err error) {
	bin, err = choose(installed(ctx, filepath.SplitList(os.Getenv("PATH")), places), major)
	if err == nil {
		return bin, nil
	}
	bin, fetchErr := fetch(ctx, major)
	if fetchErr != nil {
		return "", fmt.Errorf("%w: apt-get install postgresql (Debian, Ubuntu), or what your system calls it; %w", err,
			fetchErr)
	}
	return bin, nil
}

// choose takes the first installation that will do.
func choose(found []installation, major int) (bin string, err error) {
	if len(found) == 0 {
		return "", errors.New("no PostgreSQL is installed")
	}
	for _, i := range found {
		if i.major == major || major == anyMajor && i.major >= migrations.OldestPostgres {
			return i.bin, nil
		}
	}
	if major != anyMajor {
		return "", fmt.Errorf("PostgreSQL %d is needed, but only %d is installed (%s)", major, found[0].major,
			found[0].bin)
	}
	return "", fmt.Errorf("PostgreSQL %d in %s is too old (%d or newer will do)", found[0].major, found[0].bin,
		migrations.OldestPostgres)
}

// installed returns what is found in the folders, and then what is found in
// the places, the newest first.
func installed(ctx context.Context, dirs, places []string) []installation {
	var first, rest []installation
	for _, dir := range dirs {
		if major := majorIn(ctx, dir); major != 0 {
			first = append(first, installation{dir, major})
		}
	}
	for _, place := range places {
		dirs, _ := filepath.Glob(place) // its only error is a bad pattern
		for _, dir := range dirs {
			if major := majorIn(ctx, dir); major != 0 {
				rest = append(rest, installation{dir, major})
			}
		}
	}
	slices.SortStableFunc(rest, func(a, b installation) int { return b.major - a.major })
	return append(first, rest...)
}

// "postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)", "… 18beta2"
var versionRE = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// majorIn returns the major version of the server in a folder, 0 when there
// is none that can be made use of.
func majorIn(ctx context.Context, dir string) int {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return 0
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return 0
	}
	if m := versionRE.FindSubmatch(out); m != nil {
		major, _ := strconv.Atoi(string(m[1])) // 0 when it is absurd
		return major
	}
	return 0
}
