package main

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
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

// idempotencyKey is the client's, empty when it sent none. What a key may be the
// app knows; that one that is sent must not be empty only the edge can see.
func (c *call) idempotencyKey() (string, error) {
	sent := c.Request().Header.PeekAll(headerIdempotencyKey)
	switch {
	case len(sent) == 0:
		return "", nil
	case len(sent) > 1, len(sent[0]) == 0:
		return "", apperr.InvalidFields(apperr.Field{
			Field: headerIdempotencyKey, Code: "invalid", Message: "must be sent once and not be empty",
		})
	}
	return string(sent[0]), nil
}

func presentCreatedBooking(c *call, made bookingapi.Created) answer {
	c.Set(fiber.HeaderLocation, "/api/bookings/"+made.Booking.ID)
	if made.Replayed {
		c.Set(headerReplayed, "true")
	}
	return answer{http.StatusCreated, made.Booking}
}

func bindGetBooking(c *call) (bookingapi.GetRequest, error) {
	q := query{call: c}
	req := bookingapi.GetRequest{BookingID: q.id("bookingId"), UserID: c.caller.ID, ByAdmin: c.byAdmin()}
	return req, q.Err()
}

// confirmation is the body of a confirm.
type confirmation struct {
	PaymentReference *string `json:"paymentReference"`
}

func bindConfirmBooking(c *call) (bookingapi.ConfirmRequest, error) {
	which, err := bindGetBooking(c)
	if err != nil {
		return bookingapi.ConfirmRequest{}, err
	}
	var body confirmation
	if len(c.BodyRaw()) > 0 { // all in it is optional
		body, err = decode[confirmation](c)
	}
	return bookingapi.ConfirmRequest{
		BookingID: which.BookingID, UserID: which.UserID, ByAdmin: which.ByAdmin, PaymentReference: body.PaymentReference,
	}, err
}

// bindListOwnBookings lists the caller's own, an admin's too.
func bindListOwnBookings(c *call) (bookingapi.ListRequest, error) {
	q := query{call: c}
	req := bookingapi.ListRequest{PageRequest: q.page(), UserID: c.caller.ID}
	return req, q.listErr()
}

func bindListBookings(c *call) (bookingapi.ListRequest, error) {
	q := query{call: c}
	req := bookingapi.ListRequest{
		PageRequest: q.page(), EventID: q.text("eventId"), UserID: q.text("userId"), Status: q.text("status"),
		From: q.time("from"), To: q.time("to"), Count: true,
	}
	return req, q.listErr()
}

func presentBookings(p contract.Page[bookingapi.Booking]) any { return listOf(p) }
