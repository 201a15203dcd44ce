// Package packaging holds what surrounds the program once it is installed: the deb
// and rpm packages that make dist builds, with the systemd unit, and the logins of
// docker-compose.yml. It has no code; its tests (make check) install the packages
// and run the image's files in a chroot.
package packaging
