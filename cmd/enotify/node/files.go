package node

import "syscall"

// maxFiles is how many files and connections the system lets this process have
// open; 0 is unknown.
func maxFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<30))
}

const (
	// mostConnections there are by default. With 2,500, a thousand sites got twice as many
	// connections, took more CPU and half as much memory again, and were no faster: see the
	// guide's page on speed.
	mostConnections = 500
	// otherFiles are what a node has open beside SMTP connections: questions to the
	// DNS, the database, the journal, listeners.
	otherFiles = 300
)

// fitting is how many connections there are by default where so many files may be
// open. Each may have two slow ones beside it.
func fitting(files int) int {
	if files == 0 {
		return mostConnections
	}
	return min(mostConnections, max(10, (files-otherFiles)/3))
}
