package booking

import (
	"strings"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/validation"
)

const (
	maxKey       = 128
	maxReference = 128 // code points
)

func (s *Service) validCreate(req bookingapi.CreateRequest) error {
	var p validation.Problems
	if key := req.IdempotencyKey; key == "" {
		p.ID("bookingId", req.BookingID)
	} else if len(key) > maxKey || strings.IndexFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
		p.Add("Idempotency-Key", "invalid", "must be 1 to %d visible characters", maxKey)
	}
	p.ID("userId", req.UserID)
	p.ID("eventId", req.EventID)
	p.Range("quantity", req.Quantity, 1, s.max)
	return p.Err()
}

func validConfirm(req bookingapi.ConfirmRequest) error {
	var p validation.Problems
	if req.PaymentReference != nil {
		p.MaxLength("paymentReference", *req.PaymentReference, maxReference)
	}
	return p.Err()
}
