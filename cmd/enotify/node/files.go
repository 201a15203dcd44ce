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
	// mostConnections there are by default. With 2,000, mail to a thousand sites takes 88 MB
	// in place of about 80, and is no faster on two cores: see the guide's page on speed.
	mostConnections = 750
	// otherFiles are what a node has open beside SMTP connections: questions to the
	// DNS, the database, the journal, listeners.
	otherFiles = 300
)

// slowFitting is how many slow connections there may be beside so many others: twice as
// many, and 500 at least, but no more than so many files allow.
func slowFitting(connections, files int) int {
	most := max(2*connections, 500)
	if files == 0 {
		return most
	}
	return min(most, max(10, files-otherFiles-connections))
}

// fitting is how many connections there are by default where so many files may be
// open. Each may have two slow ones beside it.
func fitting(files int) int {
	if files == 0 {
		return mostConnections
	}
	return min(mostConnections, max(10, (files-otherFiles)/3))
}
