package booking

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
)

const (
	maxID        = 64
	maxKey       = 128
	maxReference = 128 // code points
)

// problems collects what is wrong with a request.
type problems []apperr.Field

func (p *problems) add(field, code, format string, args ...any) {
	*p = append(*p, apperr.Field{Field: field, Code: code, Message: fmt.Sprintf(format, args...)})
}

// err returns nil when nothing is wrong.
func (p *problems) err() error {
	if len(*p) == 0 {
		return nil
	}
	return apperr.InvalidFields(*p...)
}

func (p *problems) id(field, id string) {
	switch {
	case id == "":
		p.add(field, "required", "is required")
	case !validID(id):
		p.add(field, "invalid", "is not an id")
	}
}

// validID reports whether s can be an id: 1-64 of A-Za-z0-9_-.
func validID(s string) bool {
	return s != "" && len(s) <= maxID && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}) < 0
}

func (s *Service) validCreate(req bookingapi.CreateRequest) error {
	var p problems
	if key := req.IdempotencyKey; key == "" {
		p.id("bookingId", req.BookingID)
	} else if len(key) > maxKey || strings.IndexFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
		p.add("Idempotency-Key", "invalid", "must be 1 to %d visible characters", maxKey)
	}
	p.id("userId", req.UserID)
	p.id("eventId", req.EventID)
	switch {
	case req.Quantity < 1:
		p.add("quantity", "too_small", "must be at least 1")
	case req.Quantity > s.max:
		p.add("quantity", "too_large", "must be at most %d", s.max)
	}
	return p.err()
}

func validConfirm(req bookingapi.ConfirmRequest) error {
	var p problems
	if r := req.PaymentReference; r != nil && utf8.RuneCountInString(*r) > maxReference {
		p.add("paymentReference", "too_long", "has more than %d characters", maxReference)
	}
	return p.err()
}
