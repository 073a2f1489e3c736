package booking

import (
	"context"

	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/idempotency"
	"boxoffice/shared/validation"
)

// maxPaymentReference is the maximum length of a payment reference in code points.
const maxPaymentReference = 128

// CheckCreateBooking returns the error of CreateBooking for a request with invalid values.
func (s *Service) CheckCreateBooking(_ context.Context, req bookingapi.CreateRequest) error {
	return s.validateCreate(req)
}

// CheckConfirmBooking returns the error of ConfirmBooking for a request with invalid values.
func (s *Service) CheckConfirmBooking(_ context.Context, req bookingapi.ConfirmRequest) error {
	return validateConfirm(req)
}

// validateCreate returns an apperr.Invalid error that lists every invalid field of
// req.
func (s *Service) validateCreate(req bookingapi.CreateRequest) error {
	var p validation.Problems
	if req.IdempotencyKey == "" {
		p.ID("bookingId", req.BookingID)
	} else {
		idempotency.CheckKey(&p, req.IdempotencyKey)
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
