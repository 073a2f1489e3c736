package main

import (
	"errors"
	"fmt"
	"strconv"
)

// ticketLimit is a maximum number of tickets. Zero means no limit.
type ticketLimit int64

// UnmarshalText parses a number of tickets from 1, or "off" for no limit.
func (l *ticketLimit) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*l = 0
		return nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < 1 || n > maxTicketLimit {
		return errors.New("must be a number of tickets from 1 to 10000, for example 40, or off")
	}
	*l = ticketLimit(n)
	return nil
}

// check returns an error if l, the limit of pending tickets, does not allow a booking of
// the largest size.
func (l ticketLimit) check(maxPerBooking int) error {
	if l == 0 || int(l) >= maxPerBooking {
		return nil
	}
	return fmt.Errorf("configuration: MAX_PENDING_PER_USER is %d: must be at least MAX_PER_BOOKING, which is %d, or off", l, maxPerBooking)
}

// maxTicketLimit bounds what a create reads to check the limit.
const maxTicketLimit = 10_000
