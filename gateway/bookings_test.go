package main_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/telemetry"
)

// fakeBooking implements the booking app's operations. Its fields hold the results to
// return and record the requests.
type fakeBooking struct {
	one      bookingapi.Booking
	replayed bool
	page     contract.Page[bookingapi.Booking]
	check    error                     // the result of checking a CreateRequest
	fail     error                     // if not nil, the result of every operation
	create   bookingapi.CreateRequest  // the last request
	get      bookingapi.GetRequest     // the last request
	cancel   bookingapi.CancelRequest  // the last request
	confirm  bookingapi.ConfirmRequest // the last request
	list     bookingapi.ListRequest    // the last request
}

func (f *fakeBooking) serve(log *slog.Logger, tracing *telemetry.Tracing) http.Handler {
	srv := rpc.NewServer(rpc.ServerConfig{App: bookingapi.App, Token: secret, Log: log, Tracing: tracing})
	check := func(context.Context, bookingapi.CreateRequest) error { return f.check }
	rpc.HandleChecked(srv, bookingapi.CreateBooking, check, func(_ context.Context, r bookingapi.CreateRequest) (bookingapi.Created, error) {
		f.create = r
		return bookingapi.Created{Booking: f.one, Replayed: f.replayed}, f.fail
	})
	rpc.Handle(srv, bookingapi.GetBooking, func(_ context.Context, r bookingapi.GetRequest) (bookingapi.Booking, error) {
		f.get = r
		return f.one, f.fail
	})
	rpc.Handle(srv, bookingapi.CancelBooking, func(_ context.Context, r bookingapi.CancelRequest) (bookingapi.Booking, error) {
		f.cancel = r
		return f.one, f.fail
	})
	rpc.Handle(srv, bookingapi.ConfirmBooking, func(_ context.Context, r bookingapi.ConfirmRequest) (bookingapi.Booking, error) {
		f.confirm = r
		return f.one, f.fail
	})
	rpc.Handle(srv, bookingapi.ListBookings, func(_ context.Context, r bookingapi.ListRequest) (contract.Page[bookingapi.Booking], error) {
		f.list = r
		return f.page, f.fail
	})
	return srv
}

const bookingBody = `{"eventId":"e1","quantity":2}`

func TestCreateBooking(t *testing.T) {
	h := newHarness(t)
	h.booking.one = bookingapi.Booking{ID: "b1", EventID: "e1", UserID: "u1", Quantity: 2, Status: "pending"}
	h.wantProblem(h.do("POST", "/api/bookings", bookingBody), 401, "auth.token_missing")
	res := h.do("POST", "/api/bookings", bookingBody, bearer(h.token())...)
	var got bookingapi.Booking
	if err := json.Unmarshal([]byte(res.body), &got); err != nil || res.StatusCode != 201 || got.ID != "b1" {
		t.Fatalf("got %d %s, want 201 and booking b1", res.StatusCode, res.body)
	}
	if location := res.Header.Get("Location"); location != "/api/bookings/b1" || res.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("got Location %q, Idempotency-Replayed %q, want /api/bookings/b1 and none", location, res.Header.Get("Idempotency-Replayed"))
	}
	first := h.booking.create
	want := bookingapi.CreateRequest{BookingID: first.BookingID, UserID: "u1", EventID: "e1", Quantity: 2}
	if first != want || first.BookingID == "" {
		t.Errorf("request: got %+v, want %+v", first, want)
	}
	h.booking.replayed = true
	res = h.do("POST", "/api/bookings", bookingBody, append(bearer(h.token()), "Idempotency-Key", "k1")...)
	if res.StatusCode != 201 || res.Header.Get("Idempotency-Replayed") != "true" || h.booking.create.IdempotencyKey != "k1" {
		t.Errorf("replay: got %d, headers %v, key %q, want 201, Idempotency-Replayed true, key k1", res.StatusCode, res.Header, h.booking.create.IdempotencyKey)
	}
	if h.booking.create.BookingID == first.BookingID {
		t.Errorf("second request: got booking id %s again, want a new one", first.BookingID)
	}
	p := h.wantProblem(h.do("POST", "/api/bookings", bookingBody, append(bearer(h.token()), "Idempotency-Key", "")...), 400, "invalid")
	if len(p.Errors) != 1 || p.Errors[0].Field != "Idempotency-Key" {
		t.Errorf("empty Idempotency-Key: got errors %v, want one about it", p.Errors)
	}
	for field, body := range map[string]string{
		"quantity": `{"quantity":"2"}`, "eventId": `{"eventId":7}`, "userId": `{"userId":"u2"}`,
	} {
		p := h.wantProblem(h.do("POST", "/api/bookings", body, bearer(h.token())...), 400, "invalid")
		if len(p.Errors) != 1 || p.Errors[0].Field != field {
			t.Errorf("%s: got errors %v, want one about %s", body, p.Errors, field)
		}
	}
	for status, refusal := range map[int]*apperr.Error{
		409: apperr.New(apperr.Conflict, eventapi.ReasonSoldOut, "Only 1 ticket is left."),
		404: apperr.New(apperr.NotFound, eventapi.ReasonNotFound, "There is no such event."),
		422: apperr.New(apperr.Unprocessable, bookingapi.ReasonMismatch, "This Idempotency-Key was used for a different request. Use a new key."),
	} {
		h.booking.fail = refusal
		p := h.wantProblem(h.do("POST", "/api/bookings", bookingBody, bearer(h.token())...), status, refusal.Reason)
		if p.Detail != refusal.Message {
			t.Errorf("detail: got %q, want %q", p.Detail, refusal.Message)
		}
	}
}

func TestGetConfirmAndCancelBooking(t *testing.T) {
	h := newHarness(t)
	h.booking.one = bookingapi.Booking{ID: "b1"}
	if res := h.get("/api/bookings/b1", bearer(h.token())...); res.StatusCode != 200 {
		t.Errorf("got %d %s, want 200", res.StatusCode, res.body)
	}
	want := bookingapi.GetRequest{BookingID: "b1", UserID: "u1"}
	if h.booking.get != want {
		t.Errorf("request: got %+v, want %+v", h.booking.get, want)
	}
	if res := h.do("POST", "/api/bookings/b1/cancel", "", bearer(h.token())...); res.StatusCode != 200 || h.booking.cancel != want {
		t.Errorf("cancel: got %d, request %+v, want 200, %+v", res.StatusCode, h.booking.cancel, want)
	}
	for body, want := range map[string]string{"": "", "{}": "", `{"paymentReference":"p1"}`: "p1"} {
		res := h.do("POST", "/api/bookings/b1/confirm", body, bearer(h.token())...)
		got := h.booking.confirm
		if res.StatusCode != 200 || got.BookingID != "b1" || got.UserID != "u1" || got.ByAdmin || (got.PaymentReference != nil) != (want != "") ||
			want != "" && *got.PaymentReference != want {
			t.Errorf("confirm with body %q: got %d, request %+v, want 200, booking b1 of user u1, payment reference %q", body, res.StatusCode, got, want)
		}
	}
	h.wantProblem(h.do("POST", "/api/bookings/b1/confirm", `{"price":1}`, bearer(h.token())...), 400, "invalid")
	for _, path := range []string{"/api/bookings/a.b", "/api/bookings/" + strings.Repeat("a", 65)} {
		h.wantProblem(h.get(path, bearer(h.token())...), 400, "invalid")
		h.wantProblem(h.do("POST", path+"/confirm", "", bearer(h.token())...), 400, "invalid")
		h.wantProblem(h.do("POST", path+"/cancel", "", bearer(h.token())...), 400, "invalid")
	}
	h = newHarness(t)
	h.auth.user.Role = authapi.RoleAdmin
	if h.get("/api/bookings/b1", bearer(h.token())...); !h.booking.get.ByAdmin {
		t.Errorf("admin: got request %+v, want ByAdmin true", h.booking.get)
	}
}

func TestListBookings(t *testing.T) {
	h := newHarness(t)
	h.booking.page = contract.Page[bookingapi.Booking]{Items: []bookingapi.Booking{{ID: "b1"}}, Limit: 20}
	const lastPage = `"page":{"limit":20,"nextCursor":null}`
	if res := h.get("/api/bookings/me?userId=u2&limit=5&cursor=c", bearer(h.token())...); res.StatusCode != 200 || !strings.Contains(res.body, lastPage) {
		t.Errorf("own bookings: got %d %s, want 200 and %s", res.StatusCode, res.body, lastPage)
	}
	want := bookingapi.ListRequest{PageRequest: contract.PageRequest{Limit: 5, Cursor: "c"}, UserID: "u1"}
	if !reflect.DeepEqual(h.booking.list, want) {
		t.Errorf("own bookings: got request %+v, want %+v", h.booking.list, want)
	}
	h.wantProblem(h.get("/api/bookings", bearer(h.token())...), 403, "auth.admin_required")

	h = newHarness(t)
	h.auth.user.Role = authapi.RoleAdmin
	total := int64(7)
	h.booking.page = contract.Page[bookingapi.Booking]{Limit: 1, NextCursor: "next", Total: &total, TotalIsEstimate: true}
	res := h.get("/api/bookings?eventId=e1&userId=u2&status=pending&from=2030-01-01T00:00:00Z&to=2030-01-02T00:00:00%2B01:00", bearer(h.token())...)
	if res.StatusCode != 200 || res.body != `{"data":[],"page":{"limit":1,"nextCursor":"next","total":7,"totalIsEstimate":true}}` {
		t.Errorf("all bookings: got %d %s, want 200 and an empty page with a next cursor and a total of 7", res.StatusCode, res.body)
	}
	from, to := contract.At(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)), contract.At(time.Date(2030, 1, 1, 23, 0, 0, 0, time.UTC))
	want = bookingapi.ListRequest{UserID: "u2", EventID: "e1", Status: "pending", From: &from, To: &to, Count: true}
	if !reflect.DeepEqual(h.booking.list, want) {
		t.Errorf("request: got %+v, want %+v", h.booking.list, want)
	}
	h.wantProblem(h.get("/api/bookings?from=yesterday", bearer(h.token())...), 400, "invalid")
}
