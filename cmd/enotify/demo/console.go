package demo

import (
	"context"

	"enotify/cmd/enotify/console"
)

// openConsole serves the console where it is wanted. What it returns waits until ctx ends,
// so that there is time to look.
func (d *demo) openConsole(ctx context.Context, databaseURL string) (linger func() error, err error) {
	if d.Console == "" {
		return func() error { return nil }, nil
	}
	server, err := console.Listen(console.Config{DatabaseURL: databaseURL, Listen: d.Console, Person: "you",
		Resolver: d.internet.dns.Addr, AllowMX: []string{"127.0.0.0/8"}, Log: d.Log})
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	d.screen.Say("the console is at %s", server.URL())
	return func() error {
		d.screen.Say("the console stays at %s; Ctrl-C ends the demo", server.URL())
		return <-ended
	}, nil
}
