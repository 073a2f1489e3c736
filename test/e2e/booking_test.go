package e2e_test

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"boxoffice/test/kit"
	"boxoffice/test/stack"
	"boxoffice/tools/traces"
)

type booking struct {
	ID, Code, EventID, UserID, Status, CancelReason string
	Quantity                                        int64
	TotalPrice                                      struct {
		Amount   int64
		Currency string
	}
	ExpiresAt, CreatedAt     time.Time
	ConfirmedAt, CancelledAt *time.Time
}

type bookings struct {
	Data []booking
	Page struct {
		Limit      int
		NextCursor *string
		Total      *int64
	}
}

func (b bookings) ids() []string {
	var ids []string
	for _, item := range b.Data {
		ids = append(ids, item.ID)
	}
	return ids
}

func TestBookingIsConfirmedCancelledAndListed(t *testing.T) {
	eventID := running.CreateEvent(t, 10)
	account := register(t)
	ada := running.As(account.Tokens.AccessToken)
	bob := running.As(register(t).Tokens.AccessToken)

	var first, second booking
	res := ada.Book(t, eventID, 2, "")
	res.Want(t, 201, &first)
	if b := first; b.ID == "" || b.Code == "" || b.EventID != eventID || b.UserID != account.User.ID || b.Status != "pending" || b.Quantity != 2 ||
		b.TotalPrice.Amount != 5000 || b.TotalPrice.Currency != "EUR" || !b.ExpiresAt.After(b.CreatedAt) || b.ConfirmedAt != nil {
		t.Errorf("created: got %+v, want a pending booking of 2 seats of event %s for 50 EUR", b, eventID)
	}
	path := "/api/bookings/" + first.ID
	if got := res.Header.Get("Location"); got != path {
		t.Errorf("Location: got %q, want %q", got, path)
	}
	if n := running.Seats(t, eventID).Available; n != 8 {
		t.Errorf("available seats: got %d, want 8", n)
	}

	var read booking
	ada.Do(t, "GET", path, nil).Want(t, 200, &read)
	if read != first {
		t.Errorf("read: got %+v, want %+v as created", read, first)
	}
	bob.Do(t, "GET", path, nil).Refused(t, 404, "booking.not_found")
	bob.Do(t, "POST", path+"/cancel", nil).Refused(t, 404, "booking.not_found")
	running.Guest().Do(t, "GET", path, nil).Refused(t, 401, "auth.token_missing")

	for range 2 { // a repeated confirm has the same result
		var confirmed booking
		ada.Do(t, "POST", path+"/confirm", map[string]string{"paymentReference": "p-1"}).Want(t, 200, &confirmed)
		if confirmed.ID != first.ID || confirmed.Status != "confirmed" || confirmed.ConfirmedAt == nil {
			t.Errorf("confirmed: got %+v, want booking %s confirmed", confirmed, first.ID)
		}
	}

	ada.Book(t, eventID, 3, "").Want(t, 201, &second)
	for range 2 { // a repeated cancel releases no more seats
		var cancelled booking
		ada.Do(t, "POST", "/api/bookings/"+second.ID+"/cancel", nil).Want(t, 200, &cancelled)
		if cancelled.Status != "cancelled" || cancelled.CancelReason != "user" || cancelled.CancelledAt == nil {
			t.Errorf("cancelled: got %+v, want it cancelled with the reason user", cancelled)
		}
	}
	if n := running.Seats(t, eventID).Available; n != 8 {
		t.Errorf("available seats after the cancellation: got %d, want 8", n)
	}
	ada.Do(t, "POST", "/api/bookings/"+second.ID+"/confirm", nil).Refused(t, 409, "booking.not_pending")

	var own bookings
	ada.Do(t, "GET", "/api/bookings/me", nil).Want(t, 200, &own)
	if got, want := own.ids(), []string{second.ID, first.ID}; !slices.Equal(got, want) || own.Page.Limit != 20 || own.Page.Total != nil {
		t.Errorf("own bookings: got %v on page %+v, want %v on a page with the limit 20 and no total", got, own.Page, want)
	}
	ada.Do(t, "GET", "/api/bookings/me?limit=1", nil).Want(t, 200, &own)
	if len(own.Data) != 1 || own.Page.NextCursor == nil {
		t.Fatalf("first page: got %+v, want one booking and a cursor", own)
	}
	ada.Do(t, "GET", "/api/bookings/me?limit=1&cursor="+*own.Page.NextCursor, nil).Want(t, 200, &own)
	if got := own.ids(); !slices.Equal(got, []string{first.ID}) || own.Page.NextCursor != nil {
		t.Errorf("last page: got %v on page %+v, want [%s] and no cursor", got, own.Page, first.ID)
	}
	bob.Do(t, "GET", "/api/bookings/me", nil).Want(t, 200, &own)
	if own.Data == nil || len(own.Data) != 0 {
		t.Errorf("bookings of a user without any: got %+v, want an empty array", own.Data)
	}
}

func TestAdminsListAndCancelAllBookings(t *testing.T) {
	admin, _ := running.Admin(t)
	eventID := running.CreateEvent(t, 10)
	ada := running.As(register(t).Tokens.AccessToken)
	var created booking
	ada.Book(t, eventID, 1, "").Want(t, 201, &created)
	ada.Book(t, eventID, 1, "").Want(t, 201, nil)
	ada.Do(t, "GET", "/api/bookings", nil).Refused(t, 403, "auth.admin_required")

	var all bookings
	admin.Do(t, "GET", "/api/bookings?limit=1&eventId="+eventID, nil).Want(t, 200, &all)
	if len(all.Data) != 1 || all.Page.Total == nil || *all.Page.Total != 2 || all.Page.NextCursor == nil {
		t.Errorf("first page of all bookings: got %+v, want one booking, a total of 2 and a cursor", all)
	}
	var got booking
	admin.Do(t, "POST", "/api/bookings/"+created.ID+"/cancel", nil).Want(t, 200, &got)
	if got.Status != "cancelled" || got.CancelReason != "admin" {
		t.Errorf("cancelled by an admin: got %+v, want the reason admin", got)
	}
	admin.Do(t, "GET", "/api/bookings?status=cancelled&eventId="+eventID, nil).Want(t, 200, &all)
	if ids := all.ids(); !slices.Equal(ids, []string{created.ID}) || *all.Page.Total != 1 {
		t.Errorf("cancelled bookings: got %v, want [%s]", ids, created.ID)
	}
	admin.Do(t, "GET", "/api/bookings?status=refused", nil).Refused(t, 400, "invalid")
}

func TestRequestsWithOneKeyMakeOneBooking(t *testing.T) {
	eventID := running.CreateEvent(t, 100)
	ada := running.As(register(t).Tokens.AccessToken)
	key := rand.Text()
	var created, replayed booking
	if res := ada.Book(t, eventID, 2, key); res.Header.Get("Idempotency-Replayed") != "" {
		t.Error("the response to the first request has the header Idempotency-Replayed")
	} else {
		res.Want(t, 201, &created)
	}
	ada.Do(t, "POST", "/api/bookings/"+created.ID+"/confirm", nil).Want(t, 200, nil)
	res := ada.Book(t, eventID, 2, key)
	res.Want(t, 201, &replayed)
	if replayed != created || res.Header.Get("Idempotency-Replayed") != "true" || res.Header.Get("Location") != "/api/bookings/"+created.ID {
		t.Errorf("replay: got %+v with header %q, want %+v, marked as a replay", replayed, res.Header, created)
	}
	ada.Book(t, eventID, 3, key).Refused(t, 422, "idempotency.mismatch")
	// Keys are scoped to users: another user makes another booking under the same key.
	bob := running.As(register(t).Tokens.AccessToken)
	var other booking
	bob.Book(t, eventID, 2, key).Want(t, 201, &other)
	if other.ID == created.ID {
		t.Error("two users got the same booking")
	}

	shared := rand.Text()
	var ids [20]string
	kit.Concurrently(len(ids), func(i int) {
		res, err := ada.TryBook(t.Context(), eventID, 1, shared)
		if err != nil {
			t.Error(err)
			return
		}
		var b booking
		if err := json.Unmarshal([]byte(res.Text), &b); err != nil {
			t.Error(err)
		}
		ids[i] = b.ID
	})
	seen := map[string]bool{}
	for _, id := range ids {
		seen[id] = true
	}
	if len(seen) != 1 || seen[""] {
		t.Errorf("concurrent duplicates: got bookings %v, want one", seen)
	}
	if left := running.Seats(t, eventID).Available; left != 95 {
		t.Errorf("available seats: got %d, want 95", left)
	}
}

func TestBookingRefusesInvalidRequests(t *testing.T) {
	eventID := running.CreateEvent(t, 3)
	ada := running.As(register(t).Tokens.AccessToken)
	ada.Book(t, "unknown", 1, "").Refused(t, 404, "event.not_found")
	ada.Book(t, eventID, 4, "").Refused(t, 409, "booking.sold_out")
	ada.Book(t, eventID, 0, "").Refused(t, 400, "invalid")
	ada.Book(t, eventID, 11, "").Refused(t, 400, "invalid")
	ada.Do(t, "GET", "/api/bookings/unknown", nil).Refused(t, 404, "booking.not_found")
	if n := running.Seats(t, eventID).Available; n != 3 {
		t.Errorf("available seats: got %d, want 3", n)
	}
}

func TestPendingTicketsOfAUserAreLimited(t *testing.T) {
	const limit = 40 // the default of MAX_PENDING_PER_USER
	eventID, other := running.CreateEvent(t, 100), running.CreateEvent(t, 100)
	ada, bob := running.As(register(t).Tokens.AccessToken), running.As(register(t).Tokens.AccessToken)
	var first booking
	key := rand.Text()
	ada.Book(t, eventID, 10, key).Want(t, 201, &first)
	for range limit/10 - 1 {
		ada.Book(t, other, 10, "").Want(t, 201, nil)
	}
	for _, refused := range []string{"", rand.Text()} {
		ada.Book(t, eventID, 1, refused).Refused(t, 409, "booking.pending_limit")
	}
	ada.Book(t, eventID, 10, key).Want(t, 201, nil) // a replay
	bob.Book(t, eventID, 1, "").Want(t, 201, nil)
	if n := running.Seats(t, eventID).Available; n != 89 {
		t.Errorf("available seats: got %d, want 89", n)
	}
	ada.Do(t, "POST", "/api/bookings/"+first.ID+"/confirm", nil).Want(t, 200, nil)
	ada.Book(t, eventID, 10, "").Want(t, 201, nil)
}

// TestLastSeatsAreSoldOnce sends more concurrent requests for one seat each than there
// are seats. Exactly as many requests must succeed as there are seats.
func TestLastSeatsAreSoldOnce(t *testing.T) {
	const seats, requests = 10, 60
	eventID := running.CreateEvent(t, seats)
	ada := running.As(register(t).Tokens.AccessToken)
	got := countStatuses(t, requests, func() (stack.Response, error) { return ada.TryBook(t.Context(), eventID, 1, "") })
	if got[201] != seats || got[409] != requests-seats {
		t.Errorf("got responses by status %v, want %d with 201 and the others with 409", got, seats)
	}
	if n := running.Seats(t, eventID).Available; n != 0 {
		t.Errorf("available seats: got %d, want 0", n)
	}
}

// The trace of a booking must show the spans of the sequence diagram, from the gateway to
// both databases and over the bus. It must have one root and no missing parent.
func TestBookingIsOneTrace(t *testing.T) {
	eventID := running.CreateEvent(t, 5)
	ada := running.As(register(t).Tokens.AccessToken)
	res := ada.Book(t, eventID, 1, "")
	res.Want(t, 201, nil)
	if _, err := running.Trace(t.Context(), res.TraceID(t), traces.CheckBooking); err != nil {
		t.Fatal(err)
	}
}
