package booking

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/bookingapi"
)

// State is where a booking is in its life.
type State string

// The states. A refused record is no booking: it only keeps numbers from being
// used.
const (
	Pending   State = bookingapi.StatusPending
	Confirmed State = bookingapi.StatusConfirmed
	Cancelled State = bookingapi.StatusCancelled
	Expired   State = bookingapi.StatusExpired
	Refused   State = "refused"
)

// ParseState returns the state of that name, of those that clients know.
func ParseState(s string) (State, error) {
	switch state := State(s); state {
	case Pending, Confirmed, Cancelled, Expired:
		return state, nil
	case Refused:
	}
	return "", fmt.Errorf("unknown status %q of a booking", s)
}

// transition is one line of the table of states.
type transition struct {
	from, to State
	fact     string // what it is called on the bus; empty when nobody is told
}

// transitions is the table. What is not in it does not happen. From "" is the
// insert; from a state to itself only n is raised.
func transitions() []transition {
	return []transition{
		{"", Pending, bookingapi.FactCreated},
		{"", Refused, ""},
		{Refused, Refused, ""},
		{Refused, Pending, bookingapi.FactCreated},
		{Pending, Confirmed, bookingapi.FactConfirmed},
		{Pending, Cancelled, bookingapi.FactCancelled},
		{Pending, Expired, bookingapi.FactExpired},
		{Confirmed, Cancelled, bookingapi.FactCancelled},
		{Expired, Expired, ""},
		{Expired, Confirmed, bookingapi.FactConfirmed},
	}
}

// factOf returns what a transition is called on the bus.
func factOf(from, to State) (string, error) {
	table := transitions()
	i := slices.IndexFunc(table, func(t transition) bool { return t.from == from && t.to == to })
	if i < 0 {
		return "", fmt.Errorf("no way from %q to %q", from, to)
	}
	return table[i].fact, nil
}

// Reason says why a booking was cancelled.
type Reason string

// The reasons.
const (
	ByUser           Reason = bookingapi.CancelledByUser
	ByAdmin          Reason = bookingapi.CancelledByAdmin
	ByEventCancelled Reason = bookingapi.EventCancelled
)

// Booking is the record.
type Booking struct {
	ID string
	// HoldNumber is the number of the hold. In a refused record it is the first that may be
	// used; in an expired one it may be beyond HoldID's.
	HoldNumber int64
	State      State
	// HoldID is the hold of a live booking, and the last one of any other. Empty in
	// a refused record, as all that follows is but UpdatedAt.
	HoldID string
	// Fingerprint tells whether two requests are the same.
	Fingerprint      string
	EventID          string
	UserID           string
	Quantity         int64
	UnitPrice        contract.Money
	ExpiresAt        time.Time
	CreatedAt        time.Time
	UpdatedAt        time.Time
	Revision         int64 // from 1, raised with each change
	ConfirmedAt      time.Time
	PaymentReference string
	CancelledAt      time.Time
	CancelReason     Reason
}

// refusedPurgeAfter is how long a refused record is kept at least: longer than
// any process is stopped that goes on afterwards.
const refusedPurgeAfter = 24 * time.Hour

// PurgeAt is from when the store may drop the record, and false while it may not.
func (b Booking) PurgeAt() (time.Time, bool) {
	return b.UpdatedAt.Add(refusedPurgeAfter), b.State == Refused
}

// Live reports whether seats stand behind the booking.
func (b Booking) Live() bool { return b.State == Pending || b.State == Confirmed }

// due reports whether a pending booking has lapsed.
func (b Booking) due(now time.Time) bool { return !now.Before(b.ExpiresAt) }

// Public returns what clients see of the booking.
func (b Booking) Public() bookingapi.Booking {
	return bookingapi.Booking{
		ID: b.ID, Code: code(b.ID), EventID: b.EventID, UserID: b.UserID, Quantity: b.Quantity,
		TotalPrice: b.UnitPrice.Times(b.Quantity), Status: string(b.State),
		ExpiresAt: contract.At(b.ExpiresAt), CreatedAt: contract.At(b.CreatedAt), UpdatedAt: contract.At(b.UpdatedAt),
		ConfirmedAt: moment(b.ConfirmedAt), CancelledAt: moment(b.CancelledAt), CancelReason: string(b.CancelReason),
	}
}

// first returns the booking as it was first answered, whatever became of it.
func (b Booking) first() Booking {
	b.State, b.UpdatedAt = Pending, b.CreatedAt
	b.ConfirmedAt, b.CancelledAt, b.CancelReason, b.PaymentReference = time.Time{}, time.Time{}, "", ""
	return b
}

func moment(t time.Time) *contract.Time {
	if t.IsZero() {
		return nil
	}
	m := contract.At(t)
	return &m
}

// code makes eight characters of an id that can be read out: without I, L, O
// and U (Crockford's base 32).
func code(id string) string {
	sum := sha256.Sum256([]byte("code\n" + id))
	s := base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").EncodeToString(sum[:5])
	return s[:4] + "-" + s[4:]
}

// KeyedID is the id of the booking that a user makes under an idempotency key.
func KeyedID(userID, key string) string { return digest(userID + "\n" + key) }

// fingerprint tells requests apart that share an id.
func fingerprint(req bookingapi.CreateRequest) string {
	return digest(req.UserID + "\n" + req.EventID + "\n" + strconv.FormatInt(req.Quantity, 10))
}

// digest is 128 bits of a hash: nobody finds two texts that share them, but by
// trying 2^64, and then only for himself.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// holdID names the n-th hold of a request.
func holdID(bookingID string, n int64, fingerprint string) string {
	return bookingID + "_" + strconv.FormatInt(n, 10) + "_" + fingerprint
}

// parseHoldID returns the booking of a hold, and its number.
func parseHoldID(s string) (bookingID string, n int64, err error) {
	rest, _, ok := cutLast(s)
	if ok {
		var number string
		if bookingID, number, ok = cutLast(rest); ok && bookingID != "" {
			if n, err = strconv.ParseInt(number, 10, 64); err == nil && n > 0 {
				return bookingID, n, nil
			}
		}
	}
	return "", 0, fmt.Errorf("%q is not the id of a hold", s)
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '_')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// instant is a time as stores keep it.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
