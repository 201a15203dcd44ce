// Package doctor looks at everything that a node needs, from the login to the
// certificates, and says of each thing whether it is in order and what cures it.
// It changes nothing.
//
// A check is a function that returns findings. Checks of the database share its
// connections; those of the network run beside each other, so that the time a
// doctor takes is that of the slowest answer.
package doctor
