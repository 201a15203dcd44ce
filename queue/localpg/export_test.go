package localpg

import "context"

// Choose is how [Start] finds the programs for data of a major version, or
// with 0 for new data.
func Choose(ctx context.Context, dirs, places []string, major int) (bin string, err error) {
	return choose(installed(ctx, dirs, places), major)
}

// LetPass is makeDir's step for root's folder.
var LetPass = letPass
