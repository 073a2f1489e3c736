package main

import (
	"net/http"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
)

// route is one method and path of the API.
type route struct {
	method   string
	path     string
	access   access
	bucket   bucket
	endpoint endpoint
}

// routes returns the routes of the whole API.
func (s *Server) routes() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{get, "/healthz", anyone, unlimited, local(s.getHealth)},
		{get, "/readyz", anyone, unlimited, s.getReadiness},
		{get, "/.well-known/jwks.json", anyone, browse, local(s.getKeys)},

		{post, "/api/auth/register", guest, logIn, operation(s, authapi.Register, http.StatusCreated, bindRegister)},
		{post, "/api/auth/login", anyone, logIn, operation(s, authapi.LogIn, http.StatusOK, bindLogIn)},
		{post, "/api/auth/refresh", anyone, write, operation(s, authapi.Refresh, http.StatusOK, bindRefresh)},
		{post, "/api/auth/logout", anyone, write, withBody(s, authapi.LogOut, http.StatusOK, bindLogOut, presentLoggedOut)},
		{get, "/api/auth/me", user, browse, local(getMe)},

		{post, "/api/events", admin, write, withResponse(s, eventapi.CreateEvent, bindCreateEvent, presentCreatedEvent)},
		{get, "/api/events", guest, browse, withResponse(s, eventapi.ListEvents, bindListEvents, presentEvents)},
		{get, "/api/events/:eventId", guest, browse, withResponse(s, eventapi.GetEvent, bindGetEvent, presentEvent)},
		{get, "/api/events/:eventId/availability", guest, browse, withResponse(s, eventapi.GetAvailability, bindGetEvent, presentAvailability)},

		{post, "/api/bookings", user, write, withResponse(s, bookingapi.CreateBooking, bindCreateBooking, presentCreatedBooking)},
		{get, "/api/bookings", admin, browse, withBody(s, bookingapi.ListBookings, http.StatusOK, bindListBookings, presentBookings)},
		{get, "/api/bookings/me", user, browse, withBody(s, bookingapi.ListBookings, http.StatusOK, bindListOwnBookings, presentBookings)},
		{get, "/api/bookings/:bookingId", user, browse, operation(s, bookingapi.GetBooking, http.StatusOK, bindGetBooking)},
		{post, "/api/bookings/:bookingId/confirm", user, write, operation(s, bookingapi.ConfirmBooking, http.StatusOK, bindConfirmBooking)},
		{post, "/api/bookings/:bookingId/cancel", user, write, operation(s, bookingapi.CancelBooking, http.StatusOK, bindGetBooking)},
	}
}
