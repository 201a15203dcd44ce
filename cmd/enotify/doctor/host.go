package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"enotify/cmd/enotify/figures"
	"enotify/queue/insight"
	"enotify/sender/dkim"
)

// A journal takes a few MiB; the rest is for what else writes to that disk.
const (
	littleSpace = 1 << 30
	noSpace     = 64 << 20
)

// stateDir looks whether a node of this user could keep its journal.
func (p *patient) stateDir(context.Context) []Finding {
	f := Finding{ID: "host.state"}
	if p.StateDir == "" {
		return nil
	}
	dir := p.StateDir
	for { // what does not exist yet is made in the folder above
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	probe, err := os.CreateTemp(dir, ".enotify-doctor-")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err != nil {
		return []Finding{f.worse(Problem,
			fmt.Sprintf("User %d of this host cannot write to the state folder %s, where a node keeps its journal: %v.",
				os.Getuid(), p.StateDir, cause(err)),
			fmt.Sprintf("chown %d %s, or another folder: enotify run --state-dir DIR", os.Getuid(), dir))}
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return []Finding{f.worse(Note, fmt.Sprintf("The state folder %s can be written to. How much room it has is not known.", p.StateDir))}
	}
	free := disk.Bavail * uint64(disk.Bsize)
	said := fmt.Sprintf("The state folder %s can be written to, with %s MiB of room.", p.StateDir,
		figures.Count(int(free>>20)))
	switch {
	case free < noSpace:
		return []Finding{f.worse(Problem, said+" A node that cannot write its journal sends nothing.",
			"make room there, or take another disk: enotify run --state-dir DIR")}
	case free < littleSpace:
		return []Finding{f.worse(Warning, said, "make room there")}
	}
	return []Finding{f.worse(Fine, said)}
}

// cause is what the system said, without the name of the file.
func cause(err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}

// files looks how many connections may be open at once.
func (p *patient) files(context.Context) []Finding {
	f := Finding{ID: "host.files"}
	const enough = 2000 // of 500 connections, twice as many slow ones, and the rest
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil
	}
	if limit.Cur < enough {
		return []Finding{f.worse(Note, fmt.Sprintf("This user may have %d files and connections open: a node opens fewer connections than it could.", limit.Cur), "ulimit -n 65536, or LimitNOFILE=65536 in the unit")}
	}
	return []Finding{f.worse(Fine, fmt.Sprintf("Up to %s files and connections may be open.",
		figures.Count(int(min(limit.Cur, 1<<30)))))}
}

// keys looks whether this host can sign for the clients that sign.
func (p *patient) keys(ctx context.Context) []Finding {
	f := Finding{ID: "dkim.keys"}
	if p.DKIMDir != "" {
		if info, err := os.Stat(p.DKIMDir); err != nil || !info.IsDir() {
			return []Finding{f.worse(Problem, fmt.Sprintf("The DKIM folder %s cannot be read, or is none.", p.DKIMDir),
				"correct --dkim-dir DIR, or make a key: enotify client key DOMAIN --selector NAME --dkim-dir "+
					p.DKIMDir)}
		}
	}
	if p.db == nil {
		return nil
	}
	signing, err := insight.Of(p.db).Signing(ctx)
	if err != nil || len(signing) == 0 {
		return nil // clients.blocked says what could not be read
	}
	if p.DKIMDir == "" {
		return []Finding{f.worse(Note, fmt.Sprintf("The keys of %s were not looked at.",
			figures.Some(len(signing), "client")), "enotify doctor --dkim-dir DIR, as the node has it")}
	}
	dir := &dkim.Directory{Path: p.DKIMDir}
	var troubled, cures, exposed []string
	for _, c := range signing {
		for _, selector := range c.Selectors {
			if _, err := dir.Key(c.Domain, selector); err != nil {
				troubled = append(troubled, c.Domain)
				cures = append(cures, dir.File(c.Domain, selector))
				break
			}
			if dir.Exposed(c.Domain, selector) {
				exposed = append(exposed, dir.File(c.Domain, selector))
			}
		}
	}
	var found []Finding
	if len(troubled) > 0 {
		found = append(found, f.worse(Problem,
			fmt.Sprintf("A node on this host holds the mail of %s, whose keys it cannot read: %s.",
				figures.Some(len(troubled), "client"), figures.Few(troubled, shown)),
			"copy the keys here, readable for the user that enotify runs as: "+figures.Few(cures, shown)))
	}
	if len(exposed) > 0 {
		found = append(found, Finding{ID: "dkim.exposed"}.worse(Warning,
			"Everybody on this host can read private keys: "+figures.Few(exposed, shown)+".", "chmod -R o-rwx "+
				p.DKIMDir))
	}
	if len(found) == 0 {
		found = append(found, f.worse(Fine,
			fmt.Sprintf("The keys of all %s that sign are here.", figures.Some(len(signing), "client"))))
	}
	return found
}
