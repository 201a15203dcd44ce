package engine

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"enotify/queue"
)

// A journal is a file on the node's own disk, thanks to which a kill leaves in doubt
// only messages that had left and had no reply. It has a line right before the end of
// a message leaves, a line with the outcome of the try, and a line when that outcome
// is in the database.
//
//   - batch seq try made {departure}                    its end may have left
//     = batch seq try made domain grp attempts wait  {outcome}
//   - writer n batch seq try batch seq try …            recorded, in the n-th transaction of that writer
//     x                                                 closed: all of it is recorded
//
// The departure is there where the message counts against the cap of a day: see
// [departure]. Made is when the batch was created, in microseconds since 1970: another
// batch may get its number after the database went back. What is recorded is kept for
// a while, since the database may forget it: see [keepPast].
//
// Each line ends with its checksum. Lines are written, not synced: what was
// written survives the process, but not the machine. So the first line names the
// boot of the machine, and only within the same boot does a missing line prove that
// no message left.
//
// The file lies in a folder of its own, which is locked (flock) while the
// process lives, stopped or not. When the file has grown large, it becomes one of
// the past, and a new one begins with the lines of what is not recorded yet. A nil
// journal keeps nothing.
type journal struct {
	dir          string
	lock         *os.File // the folder
	installation string   // of the database, see table era
	incarnation  string

	disk sync.Mutex // held while the file is written or replaced; before mu
	file *os.File

	mu    sync.Mutex
	next  *lines             // that leave with the next write; nil: none
	spare *lines             // for the write after that
	marks map[int16]int64    // number of the last transaction of each writer
	open  map[flight]leaving // messages whose end may have left, and that are not recorded
	size  int
	limit int   // size at which a new file begins
	err   error // first write error; later records are lost
}

// A leaving message has its first line in a journal, and the second if there is one.
type leaving struct {
	departure
	outcome []byte // the line
}

const (
	journalFolder  = ".journal" // ends the name of a folder in use
	draftFolder    = "new-"     // begins the name of a folder in the making
	journalFile    = "lines"
	pastFile       = "past-" // begins the name of a file of the past; a number follows
	journalVersion = "enotify-journal-4"
	minRewrite     = 1 << 20 // octets
)

// openJournal makes a journal of its own in the state folder.
func openJournal(stateDir, installation, incarnation string) (*journal, error) {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return nil, err
	}
	draft, err := os.MkdirTemp(stateDir, draftFolder)
	if err != nil {
		return nil, err
	}
	j := &journal{dir: draft, installation: installation, incarnation: incarnation, open: map[flight]leaving{},
		marks: map[int16]int64{}}
	if j.lock, err = tryLockFolder(draft); err == nil {
		err = j.rewrite()
	}
	if err == nil { // from here on a replay finds it, locked
		j.dir = filepath.Join(stateDir, incarnation+journalFolder)
		err = os.Rename(draft, j.dir)
	}
	if err != nil {
		j.close()
		_ = os.RemoveAll(draft)
		return nil, err
	}
	return j, nil
}

// ending notes that the end of a message may leave. It reports false when that could
// not be noted: then it must not leave.
func (j *journal) ending(r *result) bool {
	key := r.flight()
	d := departure{made: r.made}
	if d.From = cappedFrom(r.costs); len(d.From) > 0 {
		d.Site = r.site
	}
	var room [80]byte
	line := appendEnding(room[:0], key, d)
	j.mu.Lock()
	if j.err != nil {
		j.mu.Unlock()
		return false
	}
	j.open[key] = leaving{departure: d} // before it is written: a new file that begins meanwhile has it
	if j.write(line) {
		return true
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.open, key)
	return false
}

// end notes the outcome of a try whose message may have left. When the line cannot be
// written, the next message does not leave.
func (j *journal) end(r *result) {
	if j == nil {
		return
	}
	o := r.Outcome
	if !capped(r.costs, o.Egress) { // no count rests on it: see warmed
		o.Egress = netip.Addr{}
	}
	line := make([]byte, 0, 256) // room for most lines; it is kept until it is recorded
	line = appendNumbers(line, '=', r.Batch, int64(r.Seq), int64(r.Try), r.made,
		int64(r.DomainID), int64(r.grp), int64(r.Attempts), int64(r.Wait))
	line, err := appendOutcome(append(line, ' '), &o)
	if err != nil {
		return
	}
	line = appendSum(line, 0)
	key := r.flight()
	j.mu.Lock()
	one, ok := j.open[key]
	if !ok && r.State == queue.Deferred {
		j.mu.Unlock()
		return // a try without a line is made again after a kill, as a deferred one is
	}
	one.made, one.outcome = r.made, line
	j.open[key] = one
	j.write(line)
}

// recorded notes that results are in the database since a transaction of a writer.
func (j *journal) recorded(writer int16, mark int64, rs []*result) {
	if j == nil {
		return
	}
	j.mu.Lock()
	j.marks[writer] = mark
	line := appendNumbers(make([]byte, 0, 40+24*len(rs)), '-', int64(writer), mark)
	head := len(line)
	for _, r := range rs {
		key := r.flight()
		if _, ok := j.open[key]; ok {
			delete(j.open, key)
			line = appendFlight(line, key)
		}
	}
	if len(line) == head {
		j.mu.Unlock()
		return
	}
	j.write(appendSum(line, 0))
	j.turnPage()
}

// failed reports whether nothing may begin, since a line could not be written.
func (j *journal) failed() bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err != nil
}

// heal begins a new file after a line could not be written.
func (j *journal) heal() error {
	if j == nil || !j.failed() {
		return nil
	}
	j.disk.Lock()
	defer j.disk.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err = j.rewrite(); j.err != nil {
		return fmt.Errorf("the journal cannot be written, so nothing is sent: %w; make room there, or start the node with another state folder",
			j.err)
	}
	return nil
}

// turnPage makes a file that has grown large one of the past, and begins a new one.
func (j *journal) turnPage() {
	if !j.large() {
		return
	}
	j.disk.Lock()
	defer j.disk.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.size <= j.limit || j.err != nil { // another writer was faster
		return
	}
	dropPast(j.dir)
	past := filepath.Join(j.dir, pastFile+strconv.FormatInt(time.Now().UnixNano(), 10))
	if os.Link(filepath.Join(j.dir, journalFile), past) != nil || j.rewrite() != nil {
		j.limit = 2 * j.size // the file that is there serves on
	}
}

func (j *journal) large() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size > j.limit
}

// keepPast is how long a node knows what it has recorded, should the database go
// back: longer than a standby lags that anyone would promote.
const keepPast = 15 * time.Minute

// dropPast removes the files of the past that are older than keepPast.
func dropPast(dir string) {
	for _, past := range pasts(dir) {
		if time.Since(past.ModTime()) > keepPast {
			_ = os.Remove(filepath.Join(dir, past.Name()))
		}
	}
}

// pasts lists the files of the past; those that cannot be seen are listed another time.
func pasts(dir string) (past []os.FileInfo) {
	files, _ := os.ReadDir(dir)
	for _, file := range files {
		if info, err := file.Info(); err == nil && strings.HasPrefix(file.Name(), pastFile) {
			past = append(past, info)
		}
	}
	return past
}

// rewrite begins a new file with the lines that still count. The caller has both locks. Lines
// that wait for the next write may be in the new file twice, which says nothing else.
func (j *journal) rewrite() error {
	next := filepath.Join(j.dir, journalFile+".new")
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	text := appendSum([]byte(journalVersion+" "+j.incarnation+" "+bootID()+" "+j.installation), 0)
	for key, one := range j.open {
		text = append(appendEnding(text, key, one.departure), one.outcome...)
	}
	for writer, mark := range j.marks {
		begun := len(text)
		text = appendSum(appendNumbers(text, '-', int64(writer), mark), begun)
	}
	_, err = file.Write(text)
	if err == nil {
		err = os.Rename(next, filepath.Join(j.dir, journalFile))
	}
	if err != nil {
		file.Close()
		_ = os.Remove(next)
		return err
	}
	if j.file != nil {
		j.file.Close()
	}
	j.file, j.size, j.limit = file, len(text), minRewrite+2*len(text)
	return nil
}

// close leaves the journal to the node that replays it.
func (j *journal) close() {
	if j == nil {
		return
	}
	if j.file != nil {
		j.file.Close()
	}
	if j.lock != nil {
		j.lock.Close()
	}
}

// finish closes a journal whose lines are all recorded. It stays until it is
// older than keepPast.
func (j *journal) finish() {
	if j == nil {
		return
	}
	j.mu.Lock()
	j.write(appendSum([]byte{'x'}, 0)) // without that line it is replayed, which changes nothing
	j.close()
}

// remove deletes the journal of a node that could not start.
func (j *journal) remove() {
	if j == nil {
		return
	}
	_ = os.RemoveAll(j.dir) // what cannot be deleted is replayed, which does no harm
	j.close()
}

// tryLockFolder returns the folder, locked until it is closed; nil without an
// error when another process has it.
func tryLockFolder(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("lock %s: %w", dir, err)
}

// noBoot is the name of the boot of a machine that gives it none.
const noBoot = "unknown"

// bootID names the boot of this machine (random(4); Linux alone has it).
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return noBoot
	}
	return strings.TrimSpace(string(id))
}

// newIncarnation is a random UUID (RFC 9562 §5.4) that names one run of a node.
func newIncarnation() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
