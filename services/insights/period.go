package insights

import (
	"strings"
	"time"

	"github.com/orderlane/orderlane/pkg/fault"
)

// Bounds of a period.
const (
	maxDays     = 1100 // three years and a little: what one answer adds up
	defaultDays = 30
)

const secondsOfDay = 24 * 60 * 60

// period is some whole days, numbered since 1970, in UTC: from the first up to, and not including, the last.
type period struct{ from, to int64 }

// Period is what an answer covers.
type Period struct {
	From     time.Time `json:"from" doc:"The first day's beginning"`
	To       time.Time `json:"to" doc:"The last day's end, which is not in it"`
	TimeZone string    `json:"time_zone" enum:"UTC" doc:"Days begin and end in this time zone"`
}

func (p period) shown() Period {
	return Period{From: timeOf(p.from), To: timeOf(p.to), TimeZone: "UTC"}
}

func timeOf(day int64) time.Time { return time.Unix(day*secondsOfDay, 0).UTC() }

// dayOf is the number of the day that a time is on.
func dayOf(t time.Time) int64 { return t.Unix() / secondsOfDay }

// blocks are the sizes in days that goods are added up in, by scale, so that any period is made of a few blocks: of
// some days, some eights of days and some 64s, and as many on the other side.
var blocks = [...]int64{1, 8, 64}

// cut splits a period: days from its beginning to eights, eights to sixties, and back to days at its end.
func (p period) cut() (eights, sixties, endOfSixties, endOfEights int64) {
	whole := func(size int64) (begin, end int64) { return (p.from + size - 1) / size * size, p.to / size * size }
	eights, endOfEights = whole(blocks[1])
	if eights >= endOfEights {
		return p.to, p.to, p.to, p.to
	}
	sixties, endOfSixties = whole(blocks[2])
	if sixties >= endOfSixties {
		return eights, endOfEights, endOfEights, endOfEights
	}
	return eights, sixties, endOfSixties, endOfEights
}

// newPeriod reads a period on a day: from and to are dates, or times in RFC 3339. It is of whole days in UTC: those that
// are touched by what is asked for. Without from it begins 30 days before its end, without to it ends with today.
func newPeriod(from, to string, today int64) (p period, err error) {
	p.to = today + 1
	if to != "" {
		end, isDate, err := readTime("to", to)
		if err != nil {
			return p, err
		}
		p.to = dayOf(end.Add(-1)) + 1
		if isDate {
			p.to = dayOf(end) + 1
		}
	}
	p.from = p.to - defaultDays
	if from != "" {
		begin, _, err := readTime("from", from)
		if err != nil {
			return p, err
		}
		p.from = dayOf(begin)
	}
	switch {
	case p.from > today:
		return p, fault.Invalid("from_in_future", "from is later than today, %s UTC", timeOf(today).Format(time.DateOnly)).
			With("query.from", "lies in the future")
	case p.to <= p.from:
		return p, fault.Invalid("to_before_from", "the period ends before it begins").With("query.to", "is not after from")
	case p.to-p.from > maxDays:
		return p, fault.Invalid("period_too_long", "a period has at most %d days, this one has %d", maxDays, p.to-p.from).
			With("query.from", "is more than %d days before to", maxDays)
	}
	return p, nil
}

// The years that can be asked for.
const firstYear, lastYear = 1970, 9998

// readTime reads a date or a time.
func readTime(name, s string) (t time.Time, isDate bool, err error) {
	isDate = !strings.ContainsAny(s, "Tt ")
	layout := time.RFC3339Nano
	if isDate {
		layout = time.DateOnly
	}
	t, err = time.Parse(layout, s)
	if err != nil || t.UTC().Year() < firstYear || t.UTC().Year() > lastYear {
		return t, isDate, fault.Invalid("malformed_time", "%s is neither a date such as 2026-11-23 nor a time such as 2026-11-23T00:00:00Z, "+
			"from %d on; write + as %%2B", name, firstYear).With("query."+name, "cannot be read")
	}
	return t, isDate, nil
}
