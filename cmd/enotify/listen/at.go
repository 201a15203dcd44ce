package listen

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// At listens at an address that a flag names. Its error says what to do.
func At(flag, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		return l, nil
	}
	unknown := (*net.DNSError)(nil)
	switch {
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("%s %s: this user may not take a port below 1024; give another port, or the right: "+
			"AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or setcap cap_net_bind_service=+ep on the program",
			flag, addr)
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s %s: another program listens there; give another port, or end it", flag, addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s %s: this host has no such address; give one that it has, or the port alone, as :8025", flag, addr)
	case errors.As(err, &unknown):
		return nil, fmt.Errorf("%s %s: the DNS knows no host %s; give an address of this host, or the port alone, as :8025", flag, addr, unknown.Name)
	}
	cause := err
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		cause = op.Err
	}
	return nil, fmt.Errorf("%s %s: %w; want HOST:PORT, or :PORT", flag, addr, cause)
}
