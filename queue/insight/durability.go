package insight

import (
	"context"
	"fmt"
)

// A Risk is a setting of the database server under which it may forget what it
// has committed.
type Risk struct {
	Setting string // as in postgresql.conf, with its value
	Harm    string // what may happen
	Cure    string // the line to set
}

const durabilitySQL = `
SELECT current_setting('fsync')::bool, current_setting('full_page_writes')::bool,
  current_setting('synchronous_standby_names') <> '',
       (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' OR state IS NULL)`

// Durability lists what threatens committed intents and outcomes. What a login
// may see of standbys is enough: their number.
func (r Reader) Durability(ctx context.Context) (risks []Risk, err error) {
	var fsync, pages, named bool
	var standbys int
	if err := r.row(ctx, durabilitySQL)(&fsync, &pages, &named, &standbys); err != nil {
		return nil, fmt.Errorf("read how durable the database is: %w", err)
	}
	if !fsync {
		risks = append(risks, Risk{"fsync = off",
			"a crash of the database host loses what was committed, and may destroy the database", "fsync = on"})
	}
	if !pages {
		risks = append(risks, Risk{"full_page_writes = off", "a crash of the database host may destroy tables",
			"full_page_writes = on"})
	}
	if standbys > 0 && !named {
		risks = append(risks, Risk{
			fmt.Sprintf("synchronous_standby_names = '', with %d standbys attached", standbys),
			"a standby that is promoted lacks the last commits; the nodes write them again, and leave in doubt what they do not know",
			"synchronous_standby_names = 'ANY 1 (*)'",
		})
	}
	return risks, nil
}
