package booking

import (
	"strings"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/validation"
)

const (
	maxIdempotencyKey   = 128 // bytes
	maxPaymentReference = 128 // code points
)

// validateCreate returns an apperr.Invalid error that lists every invalid field of
// req.
func (s *Service) validateCreate(req bookingapi.CreateRequest) error {
	var p validation.Problems
	if key := req.IdempotencyKey; key == "" {
		p.ID("bookingId", req.BookingID)
	} else if len(key) > maxIdempotencyKey || strings.IndexFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
		p.Add("Idempotency-Key", "invalid", "must be 1 to %d visible ASCII characters, without spaces", maxIdempotencyKey)
	}
	p.ID("userId", req.UserID)
	p.ID("eventId", req.EventID)
	p.Range("quantity", req.Quantity, 1, s.maxPerBooking)
	return p.Err()
}

// validateConfirm returns an apperr.Invalid error if req is invalid.
func validateConfirm(req bookingapi.ConfirmRequest) error {
	var p validation.Problems
	if req.PaymentReference != nil {
		p.MaxLength("paymentReference", *req.PaymentReference, maxPaymentReference)
	}
	return p.Err()
}
