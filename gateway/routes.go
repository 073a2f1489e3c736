package main

import (
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

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

// isShadowed reports whether the path of the request belongs to one of the routes that
// search events or list an organizer's, although it also matches r. For example,
// /api/events/search/cancel is a search for the word "cancel".
func (r route) isShadowed(c *fiber.Ctx) bool {
	if r.method == http.MethodGet || !strings.Contains(r.path, ":eventId/") {
		return false // routes of the same method are tried in the order of the table
	}
	id := c.Params("eventId")
	return id == "search" || id == "organizer"
}

// routes returns the routes of the whole API.
func (s *Server) routes() []route {
	const get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	return []route{
		{get, "/healthz", anyone, unlimited, local(s.getHealth)},
		{get, "/readyz", anyone, unlimited, s.getReadiness},
		{get, "/.well-known/jwks.json", anyone, browse, local(s.getKeys)},

		{post, "/api/auth/register", guest, logIn, operation(s, authapi.Register, http.StatusCreated, bindRegister)},
		{post, "/api/auth/login", anyone, logIn, operation(s, authapi.LogIn, http.StatusOK, bindLogIn)},
		{post, "/api/auth/refresh", anyone, write, operation(s, authapi.Refresh, http.StatusOK, bindRefresh)},
		{post, "/api/auth/logout", anyone, write, withBody(s, authapi.LogOut, http.StatusOK, bindLogOut, presentLoggedOut)},
		{get, "/api/auth/me", user, browse, local(getMe)},

		{post, "/api/events", admin, write, s.change(withResponse(s, eventapi.CreateEvent, bindCreateEvent, presentCreatedEvent))},
		{get, "/api/events", guest, browse, readEvents(s, eventapi.ListEvents, bindListEvents)},
		{get, "/api/events/organizer/:organizerId", user, browse, withBody(s, eventapi.ListOrganizerEvents, http.StatusOK, bindListOrganizerEvents, presentList)},
		// Fiber uses the first route that matches, and this path also matches
		// /api/events/:eventId/availability if the term is "availability".
		{get, "/api/events/search/:searchTerm", guest, browse, readEvents(s, eventapi.SearchEvents, bindSearchEvents)},
		{get, "/api/events/:eventId", guest, browse, readEvent(s, eventapi.GetEvent, tolerant(), presentEvent)},
		{get, "/api/events/:eventId/availability", guest, browse, readEvent(s, eventapi.GetAvailability, exact(), presentAvailability)},
		{get, streamPath, guest, browse, s.streamAvailability},
		{put, "/api/events/:eventId", admin, write, s.change(withResponse(s, eventapi.UpdateEvent, bindUpdateEvent, presentChangedEvent))},
		{del, "/api/events/:eventId", admin, write, s.change(withBody(s, eventapi.DeleteEvent, http.StatusOK, bindChangeEvent, presentDeletedEvent))},
		{post, "/api/events/:eventId/cancel", admin, write, s.change(withResponse(s, eventapi.CancelEvent, bindChangeEvent, presentChangedEvent))},
		{get, "/api/events/:eventId/capacity-log", admin, browse, withBody(s, eventapi.ListCapacityLog, http.StatusOK, bindListCapacityLog, presentList)},
		{post, "/api/events/:eventId/reconcile", admin, write, operation(s, eventapi.ReconcileEvent, http.StatusOK, bindReconcileEvent)},

		{post, "/api/bookings", user, refusable, s.countRefusals(withResponse(s, bookingapi.CreateBooking, bindCreateBooking, presentCreatedBooking))},
		{get, "/api/bookings", admin, browse, withBody(s, bookingapi.ListBookings, http.StatusOK, bindListBookings, presentList)},
		{get, "/api/bookings/me", user, browse, withBody(s, bookingapi.ListBookings, http.StatusOK, bindListOwnBookings, presentList)},
		{get, "/api/bookings/:bookingId", user, browse, operation(s, bookingapi.GetBooking, http.StatusOK, bindGetBooking)},
		{post, "/api/bookings/:bookingId/confirm", user, write, operation(s, bookingapi.ConfirmBooking, http.StatusOK, bindConfirmBooking)},
		{post, "/api/bookings/:bookingId/cancel", user, write, operation(s, bookingapi.CancelBooking, http.StatusOK, bindGetBooking)},
	}
}
