package node

import (
	"io"

	"enotify/cmd/enotify/console"
	"enotify/cmd/enotify/listen"
	"enotify/cmd/enotify/submit"
)

// tryAddresses takes all addresses that the node will listen at, and gives them back: a
// port in use is known although the database does not answer yet. They are not kept until
// it does, since a client of a node that cannot serve it should be refused, and not wait.
func (c *Config) tryAddresses() error {
	var taken []io.Closer
	defer func() {
		for _, t := range taken {
			_ = t.Close()
		}
	}()
	for _, l := range []struct{ flag, addr string }{{"--listen", c.Listen}, {"--unsubscribe-listen", c.UnsubscribeListen}} {
		if l.addr == "" {
			continue
		}
		t, err := listen.At(l.flag, l.addr)
		if err != nil {
			return err
		}
		taken = append(taken, t)
	}
	doors, err := listenForReturns(c.BounceListen)
	if err != nil {
		return err
	}
	for _, d := range doors {
		taken = append(taken, d)
	}
	if c.Submit != "" {
		t, err := submit.Listen(c.Submit, c.SubmitCert, c.SubmitKey)
		if err != nil {
			return err
		}
		taken = append(taken, t)
	}
	if c.Console != nil {
		t, err := console.Listen(*c.Console)
		if err != nil {
			return err
		}
		taken = append(taken, t)
	}
	return nil
}
