//go:build unix

package dkim_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	ours "enotify/sender/dkim"
)

// What lies in the place of a key is not waited for, and costs no time: the keys of all
// other clients are read by the same lock.
func TestNoFileInPlaceOfKey(t *testing.T) {
	t.Parallel()
	dir := &ours.Directory{Path: t.TempDir()}
	at := func(selector string) string { return filepath.Join(dir.Path, "a.test", selector+".pem") }
	if err := os.Mkdir(filepath.Dir(at("")), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{syscall.Mkfifo(at("pipe"), 0o600), os.Mkdir(at("folder"), 0o700),
		os.Symlink("/dev/zero", at("endless")), os.WriteFile(at("large"), make([]byte, 100_000), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for selector, want := range map[string]string{"pipe": "is no file", "folder": "is no file",
		"endless": "is no file", "large": "has 100000 octets"} {
		_, err := dir.Key("a.test", selector)
		if !errors.Is(err, ours.ErrNoKey) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s in place of a key: got error %v, want one with %q", selector, err, want)
		}
	}
}
