package figures

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"enotify/queue"
)

// Unlimited is how operators write that there is no limit.
const Unlimited = "unlimited"

// A rateUnit is a time that a rate is given for.
type rateUnit struct {
	name    string
	aliases string // between spaces
	per     time.Duration
}

// rateUnits, the shortest first.
var rateUnits = []rateUnit{
	{"s", " s sec second ", time.Second},
	{"min", " m min minute ", time.Minute},
	{"h", " h hour ", time.Hour},
	{"day", " d day ", 24 * time.Hour},
}

// ParseRate reads a rate as operators write it: 10/s, 300/min, 5000/h,
// 100000/day or unlimited; digits in groups of three, as FormatRate writes them.
func ParseRate(text string) (queue.Rate, error) {
	if text == Unlimited {
		return queue.Rate{Messages: 0, Per: time.Second}, nil
	}
	number, unit, _ := strings.Cut(text, "/")
	number = strings.TrimSpace(number)
	n, err := strconv.ParseInt(strings.ReplaceAll(number, ",", ""), 10, 32)
	good := err == nil && n > 0 && (!strings.Contains(number, ",") || number == Count(int(n))) // 1,5 is no 15
	for _, u := range rateUnits {
		if good && strings.Contains(u.aliases, " "+strings.TrimSpace(unit)+" ") {
			return queue.Rate{Messages: int(n), Per: u.per}, nil
		}
	}
	return queue.Rate{}, fmt.Errorf("%q is no rate: it is written as 10/s, 300/min, 5000/h, 100000/day or %s", text,
		Unlimited)
}

// FormatRate writes a rate in the unit in which it was set.
func FormatRate(r queue.Rate) string {
	if r.Messages == 0 {
		return Unlimited
	}
	for _, u := range rateUnits {
		if r.Per == u.per {
			return Count(r.Messages) + "/" + u.name
		}
	}
	return Count(r.Messages) + "/" + r.Per.String()
}

// Rate writes a limit: in the shortest unit in which it is a whole number, else
// with three digits in the shortest unit in which it is at least 1.
func Rate(l rate.Limit) string {
	if l == rate.Inf {
		return Unlimited
	}
	for _, u := range rateUnits {
		n := float64(l) * u.per.Seconds()
		if whole := math.Round(n); whole >= 1 && math.Abs(n-whole) < 1e-6*whole {
			return Count(int(whole)) + "/" + u.name
		}
	}
	u := unitOf(l, 1)
	return threeDigits(float64(l)*u.per.Seconds()) + "/" + u.name
}

// Speed writes a speed that was measured, always by the second so that one can
// watch it.
func Speed(perSecond float64) string {
	if perSecond < 10 {
		return strconv.FormatFloat(perSecond, 'f', 1, 64) + "/s"
	}
	return Count(int(perSecond+0.5)) + "/s"
}

// WholeRate rounds a limit down to a rate that ParseRate can read, in a unit in
// which that changes it by less than a tenth where there is one.
func WholeRate(l rate.Limit) queue.Rate {
	if l == rate.Inf {
		return queue.Rate{Messages: 0, Per: time.Second}
	}
	u := unitOf(l, 10)
	return queue.Rate{Messages: max(1, int(float64(l)*u.per.Seconds())), Per: u.per}
}

// unitOf is the shortest unit in which a limit is at least so many messages.
func unitOf(l rate.Limit, messages float64) rateUnit {
	for _, u := range rateUnits {
		if float64(l)*u.per.Seconds() >= messages {
			return u
		}
	}
	return rateUnits[len(rateUnits)-1]
}

func threeDigits(n float64) string {
	if n >= 100 {
		return Count(int(math.Round(n)))
	}
	return strconv.FormatFloat(n, 'g', 3, 64)
}
