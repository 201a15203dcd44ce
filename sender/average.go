package sender

import (
	"sync"
	"time"
)

// averaged is the number of recent times that count most.
const averaged = 1000

// An average is a moving one. The zero value knows of nothing.
type average struct {
	mu    sync.Mutex
	n     float64
	value float64 // seconds
}

func (a *average) note(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n = min(a.n+1, averaged)
	a.value += (d.Seconds() - a.value) / a.n
}

func (a *average) mean() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Duration(a.value * float64(time.Second))
}
