package dkim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A Directory holds the private keys of a node, each in a file
// DOMAIN/SELECTOR.pem. It is safe for concurrent use.
type Directory struct {
	Path string // "": there is none, and so no key

	mu     sync.Mutex
	loaded map[string]loaded
}

type loaded struct {
	key *Key
	at  time.Time
}

// fresh is how long a key that was read is taken for what its file holds.
const fresh = time.Second

// ErrNoKey is wrapped by errors that say that a key cannot be used here.
var ErrNoKey = errors.New("no DKIM key")

// File is where the key of a domain and a selector is.
func (d *Directory) File(domain, selector string) string {
	return filepath.Join(d.Path, domain, selector+".pem")
}

// Key reads a key, one that is there at most once a second. Its error wraps ErrNoKey and says what
// to do.
func (d *Directory) Key(domain, selector string) (*Key, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	file := d.File(domain, selector)
	l, known := d.loaded[file]
	if known && time.Since(l.at) < fresh {
		return l.key, nil
	}
	key, err := d.read(domain, selector)
	if err != nil {
		delete(d.loaded, file)
		return nil, err
	}
	if d.loaded == nil {
		d.loaded = make(map[string]loaded)
	}
	d.loaded[file] = loaded{key, time.Now()}
	return key, nil
}

// Keys reads the keys of a domain that its selectors name.
func (d *Directory) Keys(domain string, selectors []string) ([]*Key, error) {
	var keys []*Key
	for _, selector := range selectors {
		key, err := d.Key(domain, selector)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (d *Directory) read(domain, selector string) (*Key, error) {
	if d.Path == "" {
		return nil, fmt.Errorf("%w: %s signs with selector %s, and this node has no keys; give it --dkim-dir DIR",
			ErrNoKey, domain, selector)
	}
	if err := check(domain, selector); err != nil { // which become a path
		return nil, fmt.Errorf("%w: %w", ErrNoKey, err)
	}
	file := d.File(domain, selector)
	text, err := readFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w for %s, selector %s: there is no file %s; copy it here, or make one: enotify client key %s --selector %s", ErrNoKey, domain, selector, file, domain, selector)
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w for %s, selector %s: %w", ErrNoKey, domain, selector, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w for %s, selector %s: %w; let the user that enotify runs as read it", ErrNoKey,
			domain, selector, err)
	}
	private, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%w for %s, selector %s: %s cannot be used: %w; make another: enotify client key %s --selector NEW", ErrNoKey, domain, selector, file, err, domain)
	}
	return &Key{Domain: domain, Selector: selector, private: private}, nil
}

// maxFile is the largest file that is read as a key, in octets: one of RSA with MostRSA
// bits has 3,300. The time to parse a key grows with the third power of its length.
const maxFile = 8192

// readFile reads the file of a key. What is no file is not opened: a named pipe would be
// waited for, and all clients with it.
func readFile(file string) ([]byte, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file (%s); put the key there", file, info.Mode())
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d octets, and no key has more than %d; put the key there", file,
			info.Size(), maxFile)
	}
	return os.ReadFile(file)
}

// Exposed reports whether others than the owner and the group of a key's file
// may read it.
func (d *Directory) Exposed(domain, selector string) bool {
	info, err := os.Stat(d.File(domain, selector))
	return err == nil && info.Mode().Perm()&0o004 != 0
}

// Generate makes a key of the given type and writes it to its file, which only
// its owner may read; where Path has the set-group-ID bit, its group may too. A
// file that is there is never overwritten: mail on its way may still need its
// signature to hold, and its record is published.
func (d *Directory) Generate(domain, selector, kind string) (*Key, error) {
	if d.Path == "" {
		return nil, errors.New("where do keys belong? say --dkim-dir DIR")
	}
	if err := check(domain, selector); err != nil {
		return nil, err
	}
	private, text, err := generate(kind)
	if err != nil {
		return nil, err
	}
	file := d.File(domain, selector)
	group, err := d.readers()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700|group&0o050); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600|group&0o040)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s is there already, and a key is never overwritten; take another selector", file)
	}
	if err != nil {
		return nil, err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(file)) // half a key is of use to nobody
	}
	return &Key{Domain: domain, Selector: selector, private: private}, nil
}

// readers are the permissions of the group of keys that are made: those to read
// where the folder hands its group down, as that of a service whose keys root makes.
func (d *Directory) readers() (fs.FileMode, error) {
	info, err := os.Stat(d.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil || info.Mode()&fs.ModeSetgid == 0 {
		return 0, err
	}
	return 0o050, nil
}

// Named reads the key that a flag names as DOMAIN/SELECTOR; nil where name is "".
func (d *Directory) Named(flag, name string) (*Key, error) {
	domain, selector, ok := strings.Cut(name, "/")
	switch {
	case name == "":
		return nil, nil
	case !ok || domain == "" || selector == "":
		return nil, fmt.Errorf("%s %s: want DOMAIN/SELECTOR, such as mail.host.example/s1", flag, name)
	case d.Path == "":
		return nil, fmt.Errorf("%s %s: say with --dkim-dir where its key is", flag, name)
	}
	key, err := d.Key(domain, selector)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, name, err)
	}
	return key, nil
}
