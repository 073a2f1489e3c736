package main

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/bookingapi"
)

const (
	headerIdempotencyKey = "Idempotency-Key"
	headerReplayed       = "Idempotency-Replayed"
)

func bindCreateBooking(c *call) (bookingapi.CreateRequest, error) {
	key, err := c.idempotencyKey()
	if err != nil {
		return bookingapi.CreateRequest{}, err
	}
	body, err := decode[struct {
		EventID  string `json:"eventId"`
		Quantity int64  `json:"quantity"`
	}](c)
	return bookingapi.CreateRequest{
		BookingID: newID(), IdempotencyKey: key, UserID: c.caller.ID, EventID: body.EventID, Quantity: body.Quantity,
	}, err
}

// idempotencyKey returns the client's idempotency key, or "" if the header is absent.
// It returns an error if the header is empty or repeated, because the app receives
// only the value and cannot detect either. The app checks the value itself.
func (c *call) idempotencyKey() (string, error) {
	values := c.Request().Header.PeekAll(headerIdempotencyKey)
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1, len(values[0]) == 0:
		return "", apperr.InvalidFields(apperr.Field{
			Field: headerIdempotencyKey, Code: "invalid", Message: "must be omitted or sent once with a non-empty value",
		})
	}
	return string(values[0]), nil
}

func presentCreatedBooking(c *call, created bookingapi.Created) response {
	c.Set(fiber.HeaderLocation, "/api/bookings/"+created.Booking.ID)
	if created.Replayed {
		c.Set(headerReplayed, "true")
	}
	return response{http.StatusCreated, created.Booking}
}

func bindGetBooking(c *call) (bookingapi.GetRequest, error) {
	p := params{call: c}
	req := bookingapi.GetRequest{BookingID: p.id("bookingId"), UserID: c.caller.ID, ByAdmin: c.byAdmin()}
	return req, p.Err()
}

// confirmation is the body of a request to confirm a booking.
type confirmation struct {
	PaymentReference *string `json:"paymentReference"`
}

func bindConfirmBooking(c *call) (bookingapi.ConfirmRequest, error) {
	req, err := bindGetBooking(c)
	if err != nil {
		return bookingapi.ConfirmRequest{}, err
	}
	var body confirmation
	if len(c.BodyRaw()) > 0 { // every field is optional, and so is the body
		body, err = decode[confirmation](c)
	}
	return bookingapi.ConfirmRequest{
		BookingID: req.BookingID, UserID: req.UserID, ByAdmin: req.ByAdmin, PaymentReference: body.PaymentReference,
	}, err
}

// bindListOwnBookings binds a request for the caller's own bookings, even if the
// caller is an admin.
func bindListOwnBookings(c *call) (bookingapi.ListRequest, error) {
	p := params{call: c}
	req := bookingapi.ListRequest{PageRequest: p.page(), UserID: c.caller.ID}
	return req, p.queryErr()
}

func bindListBookings(c *call) (bookingapi.ListRequest, error) {
	p := params{call: c}
	req := bookingapi.ListRequest{
		PageRequest: p.page(), EventID: p.text("eventId"), UserID: p.text("userId"), Status: p.text("status"),
		From: p.time("from"), To: p.time("to"), Count: true,
	}
	return req, p.queryErr()
}
