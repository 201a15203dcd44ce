// Package localpg runs a private PostgreSQL for one user of one machine, from
// the binaries that are installed there. It listens on a free port of
// 127.0.0.1 alone, has a random password and no Unix socket, and ends with
// the process that started it, even when that one is killed.
//
// A server has a folder:
//
//	lock   held (flock) by the process that may touch the rest: the process that
//	       started the server, and the server itself, which inherits it
//	url    how to connect, with the password; readable for its owner only
//	log    what the server has said since its last start
//	data   the database cluster
//
// Everything follows from the lock. While it is held there is a server, or
// there will be: [Start] attaches to it by url. When it can be taken, every
// process of the former server is gone, however it ended, and its files may
// be used or removed; a process that was attached starts it again, at the same URL.
//
// PostgreSQL refuses to run as root. When root calls, the server runs as the
// user postgres, or else nobody. Only Unix systems are supported.
package localpg
