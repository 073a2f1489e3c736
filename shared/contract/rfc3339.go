package contract

import (
	"errors"
	"strings"
	"time"
)

// errTime is returned for a text that is not a time.
var errTime = errors.New("not an RFC 3339 time")

// ParseTime parses a time as RFC 3339, section 5.6, defines it (date-time), and nothing
// else: time.Parse also accepts hours of one digit, a comma before the fraction, and
// offsets that no clock has. The result is in UTC. Digits of the fraction after the ninth
// are ignored.
//
// The letters T and Z may be lower-case. A leap second is a valid time at the end of June
// and of December (section 5.7). POSIX time has none, so it becomes the first second
// after it.
//
// ParseTime refuses a time whose year in UTC is not between 0 and 9999, because RFC 3339
// cannot represent it.
func ParseTime(s string) (time.Time, error) {
	p := timeParser{rest: s}
	year := p.number(4, 0, 9999)
	p.literal("-")
	month := time.Month(p.number(2, 1, 12))
	p.literal("-")
	day := p.number(2, 1, daysIn(year, month))
	p.literal("Tt")
	hour := p.number(2, 0, 23)
	p.literal(":")
	minute := p.number(2, 0, 59)
	p.literal(":")
	second := p.number(2, 0, 60)
	nanosecond := p.fraction()
	offset := p.offset()
	if p.hasFailed || p.rest != "" {
		return time.Time{}, errTime
	}
	at := time.Date(year, month, day, hour, minute, min(second, 59), nanosecond, time.UTC).Add(-offset)
	if second == 60 {
		if !endsHalfYear(at) {
			return time.Time{}, errTime
		}
		at = at.Add(time.Second)
	}
	if at.Year() < 0 || at.Year() > 9999 {
		return time.Time{}, errTime
	}
	return at, nil
}

// endsHalfYear reports whether at is in the last second of June or December, in UTC.
func endsHalfYear(at time.Time) bool {
	next := at.Truncate(time.Second).Add(time.Second)
	return next.Equal(time.Date(next.Year(), time.January, 1, 0, 0, 0, 0, time.UTC)) ||
		next.Equal(time.Date(next.Year(), time.July, 1, 0, 0, 0, 0, time.UTC))
}

// daysIn returns the number of days of a month.
func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// timeParser parses the parts of a time one after another. After the first failure, its
// methods return zero.
type timeParser struct {
	rest      string
	hasFailed bool
}

// number parses exactly n digits, whose value is from least to most.
func (p *timeParser) number(n, least, most int) int {
	if len(p.rest) < n {
		p.hasFailed = true
	}
	if p.hasFailed {
		return 0
	}
	value := 0
	for _, digit := range []byte(p.rest[:n]) {
		if digit < '0' || digit > '9' {
			p.hasFailed = true
			return 0
		}
		value = 10*value + int(digit-'0')
	}
	if value < least || value > most {
		p.hasFailed = true
		return 0
	}
	p.rest = p.rest[n:]
	return value
}

// literal parses one of the characters, and returns it.
func (p *timeParser) literal(characters string) byte {
	if p.hasFailed || p.rest == "" || strings.IndexByte(characters, p.rest[0]) < 0 {
		p.hasFailed = true
		return 0
	}
	c := p.rest[0]
	p.rest = p.rest[1:]
	return c
}

// fraction parses the fraction of a second, if there is one, and returns it in
// nanoseconds.
func (p *timeParser) fraction() int {
	if p.hasFailed || !strings.HasPrefix(p.rest, ".") {
		return 0
	}
	digits := p.rest[1 : len(p.rest)-len(strings.TrimLeft(p.rest[1:], "0123456789"))]
	p.rest = p.rest[1+len(digits):]
	if digits == "" {
		p.hasFailed = true
		return 0
	}
	value := 0
	for i := range 9 {
		value *= 10
		if i < len(digits) {
			value += int(digits[i] - '0')
		}
	}
	return value
}

// offset parses the offset from UTC.
func (p *timeParser) offset() time.Duration {
	sign := p.literal("Zz+-")
	if sign == 'Z' || sign == 'z' {
		return 0
	}
	hours := p.number(2, 0, 23)
	p.literal(":")
	offset := time.Duration(hours)*time.Hour + time.Duration(p.number(2, 0, 59))*time.Minute
	if sign == '-' {
		return -offset
	}
	return offset
}
