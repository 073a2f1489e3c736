package e2e_test

import (
	"crypto/rand"
	"encoding/json"
	"slices"
	"testing"
	"time"

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
	for _, one := range b.Data {
		ids = append(ids, one.ID)
	}
	return ids
}

func TestBookingJourney(t *testing.T) {
	eventID := running.OnSale(t, 10)
	account := register(t)
	ada := running.As(account.Tokens.AccessToken)
	bob := running.As(register(t).Tokens.AccessToken)

	var first, second booking
	res := ada.Book(t, eventID, 2, "")
	res.Want(t, 201, &first)
	if b := first; b.ID == "" || b.Code == "" || b.EventID != eventID || b.UserID != account.User.ID || b.Status != "pending" || b.Quantity != 2 ||
		b.TotalPrice.Amount != 5000 || b.TotalPrice.Currency != "EUR" || !b.ExpiresAt.After(b.CreatedAt) || b.ConfirmedAt != nil {
		t.Errorf("booked: got %+v", b)
	}
	path := "/api/bookings/" + first.ID
	if got := res.Header.Get("Location"); got != path {
		t.Errorf("Location: got %q, want %q", got, path)
	}
	if n := running.Seats(t, eventID).Available; n != 8 {
		t.Errorf("%d seats are left, want 8", n)
	}

	var read booking
	ada.Do(t, "GET", path, nil).Want(t, 200, &read)
	if read != first {
		t.Errorf("read: got %+v, want %+v", read, first)
	}
	bob.Do(t, "GET", path, nil).Refused(t, 404, "booking.not_found")
	bob.Do(t, "POST", path+"/cancel", nil).Refused(t, 404, "booking.not_found")
	running.Guest().Do(t, "GET", path, nil).Refused(t, 401, "auth.token_missing")

	for range 2 { // repeated, it is confirmed all the same
		var confirmed booking
		ada.Do(t, "POST", path+"/confirm", map[string]string{"paymentReference": "p-1"}).Want(t, 200, &confirmed)
		if confirmed.ID != first.ID || confirmed.Status != "confirmed" || confirmed.ConfirmedAt == nil {
			t.Errorf("confirmed: got %+v", confirmed)
		}
	}

	ada.Book(t, eventID, 3, "").Want(t, 201, &second)
	for range 2 { // seats come back once
		var cancelled booking
		ada.Do(t, "POST", "/api/bookings/"+second.ID+"/cancel", nil).Want(t, 200, &cancelled)
		if cancelled.Status != "cancelled" || cancelled.CancelReason != "user" || cancelled.CancelledAt == nil {
			t.Errorf("cancelled: got %+v", cancelled)
		}
	}
	if n := running.Seats(t, eventID).Available; n != 8 {
		t.Errorf("%d seats are left after the cancellation, want 8", n)
	}
	ada.Do(t, "POST", "/api/bookings/"+second.ID+"/confirm", nil).Refused(t, 409, "booking.not_pending")

	var own bookings
	ada.Do(t, "GET", "/api/bookings/me", nil).Want(t, 200, &own)
	if got, want := own.ids(), []string{second.ID, first.ID}; !slices.Equal(got, want) || own.Page.Limit != 20 || own.Page.Total != nil {
		t.Errorf("own: got %v of %+v, want %v", got, own.Page, want)
	}
	ada.Do(t, "GET", "/api/bookings/me?limit=1", nil).Want(t, 200, &own)
	if len(own.Data) != 1 || own.Page.NextCursor == nil {
		t.Fatalf("the first page: got %+v", own)
	}
	ada.Do(t, "GET", "/api/bookings/me?limit=1&cursor="+*own.Page.NextCursor, nil).Want(t, 200, &own)
	if got := own.ids(); !slices.Equal(got, []string{first.ID}) || own.Page.NextCursor != nil {
		t.Errorf("the last page: got %v, %+v", got, own.Page)
	}
	bob.Do(t, "GET", "/api/bookings/me", nil).Want(t, 200, &own)
	if own.Data == nil || len(own.Data) != 0 {
		t.Errorf("another's list: got %+v", own.Data)
	}
}

func TestAdminsSeeAllBookings(t *testing.T) {
	boss, _ := running.Admin(t)
	eventID := running.OnSale(t, 10)
	ada := running.As(register(t).Tokens.AccessToken)
	var made booking
	ada.Book(t, eventID, 1, "").Want(t, 201, &made)
	ada.Book(t, eventID, 1, "").Want(t, 201, nil)
	ada.Do(t, "GET", "/api/bookings", nil).Refused(t, 403, "auth.admin_required")

	var all bookings
	boss.Do(t, "GET", "/api/bookings?limit=1&eventId="+eventID, nil).Want(t, 200, &all)
	if len(all.Data) != 1 || all.Page.Total == nil || *all.Page.Total != 2 || all.Page.NextCursor == nil {
		t.Errorf("got %+v", all)
	}
	var got booking
	boss.Do(t, "POST", "/api/bookings/"+made.ID+"/cancel", nil).Want(t, 200, &got)
	if got.Status != "cancelled" || got.CancelReason != "admin" {
		t.Errorf("cancelled by an admin: got %+v", got)
	}
	boss.Do(t, "GET", "/api/bookings?status=cancelled&eventId="+eventID, nil).Want(t, 200, &all)
	if ids := all.ids(); !slices.Equal(ids, []string{made.ID}) || *all.Page.Total != 1 {
		t.Errorf("cancelled ones: got %v", ids)
	}
	boss.Do(t, "GET", "/api/bookings?status=refused", nil).Refused(t, 400, "invalid")
}

func TestSameKeyIsTheSameBooking(t *testing.T) {
	eventID := running.OnSale(t, 100)
	ada := running.As(register(t).Tokens.AccessToken)
	key := rand.Text()
	var made, again booking
	if res := ada.Book(t, eventID, 2, key); res.Header.Get("Idempotency-Replayed") != "" {
		t.Error("the first is said to be replayed")
	} else {
		res.Want(t, 201, &made)
	}
	ada.Do(t, "POST", "/api/bookings/"+made.ID+"/confirm", nil).Want(t, 200, nil)
	res := ada.Book(t, eventID, 2, key)
	res.Want(t, 201, &again)
	if again != made || res.Header.Get("Idempotency-Replayed") != "true" || res.Header.Get("Location") != "/api/bookings/"+made.ID {
		t.Errorf("again: got %+v, %q, want %+v", again, res.Header, made)
	}
	ada.Book(t, eventID, 3, key).Refused(t, 422, "idempotency.mismatch")
	// Another's key is another key.
	bob := running.As(register(t).Tokens.AccessToken)
	var other booking
	bob.Book(t, eventID, 2, key).Want(t, 201, &other)
	if other.ID == made.ID {
		t.Error("two users share a booking")
	}

	twins := rand.Text()
	ids := make(chan string)
	const n = 20
	for range n {
		go func() {
			var b booking
			if err := json.Unmarshal([]byte(ada.Book(t, eventID, 1, twins).Text), &b); err != nil {
				t.Error(err)
			}
			ids <- b.ID
		}()
	}
	seen := map[string]bool{}
	for range n {
		seen[<-ids] = true
	}
	if len(seen) != 1 || seen[""] {
		t.Errorf("twins in flight got %v", seen)
	}
	if left := running.Seats(t, eventID).Available; left != 95 {
		t.Errorf("%d seats are left, want 95", left)
	}
}

func TestBookingRefusals(t *testing.T) {
	eventID := running.OnSale(t, 3)
	ada := running.As(register(t).Tokens.AccessToken)
	ada.Book(t, "unknown", 1, "").Refused(t, 404, "event.not_found")
	ada.Book(t, eventID, 4, "").Refused(t, 409, "booking.sold_out")
	ada.Book(t, eventID, 0, "").Refused(t, 400, "invalid")
	ada.Book(t, eventID, 11, "").Refused(t, 400, "invalid")
	ada.Do(t, "GET", "/api/bookings/unknown", nil).Refused(t, 404, "booking.not_found")
	if n := running.Seats(t, eventID).Available; n != 3 {
		t.Errorf("%d seats are left, want 3", n)
	}
}

// Many want the last seats: as many get one as there are.
func TestLastSeats(t *testing.T) {
	const seats, clients = 10, 60
	eventID := running.OnSale(t, seats)
	ada := running.As(register(t).Tokens.AccessToken)
	statuses := make(chan int)
	for range clients {
		go func() { statuses <- ada.Book(t, eventID, 1, "").StatusCode }()
	}
	got := map[int]int{}
	for range clients {
		got[<-statuses]++
	}
	if got[201] != seats || got[409] != clients-seats {
		t.Errorf("got %v, want %d times 201 and else 409", got, seats)
	}
	if n := running.Seats(t, eventID).Available; n != 0 {
		t.Errorf("%d seats are left", n)
	}
}

// The diagram of a booking, read out of its trace: one root, no parent missing,
// from the client to both databases and over the bus.
func TestBookingIsOneTrace(t *testing.T) {
	eventID := running.OnSale(t, 5)
	ada := running.As(register(t).Tokens.AccessToken)
	res := ada.Book(t, eventID, 1, "")
	res.Want(t, 201, nil)
	if _, err := running.Trace(t.Context(), res.TraceID(t), traces.Booking); err != nil {
		t.Fatal(err)
	}
}
