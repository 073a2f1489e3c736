package main

import (
	"net/http"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/contract/bookingapi"
	"boxoffice/shared/contract/eventapi"
	"boxoffice/shared/rpc"
)

// route is one line of the API.
type route struct {
	method   string
	path     string
	access   access
	bucket   bucket
	endpoint endpoint
}

// routes is the whole API.
func (s *Server) routes() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{get, "/healthz", anyone, unlimited, own(s.health)},
		{get, "/readyz", anyone, unlimited, endpoint{answer: s.readiness}},
		{get, "/.well-known/jwks.json", anyone, browse, own(s.jwks)},

		{post, "/api/auth/register", guest, logIn, operation(s, authapi.Register, http.StatusCreated, bindRegister)},
		{post, "/api/auth/login", anyone, logIn, operation(s, authapi.LogIn, http.StatusOK, bindLogIn)},
		{post, "/api/auth/refresh", anyone, write, operation(s, authapi.Refresh, http.StatusOK, bindRefresh)},
		{post, "/api/auth/logout", anyone, write, presented(s, authapi.LogOut, http.StatusOK, bindLogOut, presentLoggedOut)},
		{get, "/api/auth/me", user, browse, own(me)},

		{post, "/api/events", admin, write, asked(s, eventapi.CreateEvent, bindCreateEvent, presentCreatedEvent)},
		{get, "/api/events", guest, browse, asked(s, eventapi.ListEvents, bindListEvents, presentEvents)},
		{get, "/api/events/:eventId", guest, browse, asked(s, eventapi.GetEvent, bindGetEvent, presentEvent)},
		{get, "/api/events/:eventId/availability", guest, browse, asked(s, eventapi.GetAvailability, bindGetEvent, presentAvailability)},

		{post, "/api/bookings", user, write, asked(s, bookingapi.CreateBooking, bindCreateBooking, presentCreatedBooking)},
		{get, "/api/bookings", admin, browse, presented(s, bookingapi.ListBookings, http.StatusOK, bindListBookings, presentBookings)},
		{get, "/api/bookings/me", user, browse, presented(s, bookingapi.ListBookings, http.StatusOK, bindListOwnBookings, presentBookings)},
		{get, "/api/bookings/:bookingId", user, browse, operation(s, bookingapi.GetBooking, http.StatusOK, bindGetBooking)},
		{post, "/api/bookings/:bookingId/confirm", user, write, operation(s, bookingapi.ConfirmBooking, http.StatusOK, bindConfirmBooking)},
		{post, "/api/bookings/:bookingId/cancel", user, write, operation(s, bookingapi.CancelBooking, http.StatusOK, bindGetBooking)},
	}
}

func (s *Server) health(*call) (any, error) {
	return struct {
		Status string `json:"status"`
	}{"ok"}, nil
}

func (s *Server) readiness(c *call) (answer, error) {
	report, ready := s.ready.Report(c.ctx)
	if !ready {
		c.Set("Retry-After", "1")
		return answer{http.StatusServiceUnavailable, report}, nil
	}
	return answer{http.StatusOK, report}, nil
}

func (s *Server) jwks(c *call) (any, error) {
	set, err := s.keys.Set()
	c.Set("Cache-Control", "public, max-age=300") // a key is published long before it signs
	return set, err
}

// me costs no call: whoever is let through is known.
func me(c *call) (any, error) { return c.caller, nil }

func bindRegister(c *call) (authapi.RegisterRequest, error) {
	body, err := decode[struct {
		Email    string `json:"email"`
		Password string `json:"password"`
		Name     string `json:"name"`
		Role     string `json:"role"`
	}](c)
	return authapi.RegisterRequest{
		UserID: newID(), Email: body.Email, Password: body.Password, Name: body.Name, Role: body.Role,
		ByAdmin: c.byAdmin(),
		Device:  c.device(),
	}, err
}

func bindLogIn(c *call) (authapi.LogInRequest, error) {
	body, err := decode[struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}](c)
	return authapi.LogInRequest{Email: body.Email, Password: body.Password, Device: c.device()}, err
}

func bindRefresh(c *call) (authapi.RefreshRequest, error) {
	body, err := decode[struct {
		RefreshToken string  `json:"refreshToken"`
		Email        *string `json:"email"`
	}](c)
	if err == nil {
		err = required("refreshToken", body.RefreshToken)
	}
	return authapi.RefreshRequest{RefreshToken: body.RefreshToken, Email: body.Email}, err
}

func bindLogOut(c *call) (authapi.LogOutRequest, error) {
	body, err := decode[struct {
		RefreshToken string `json:"refreshToken"`
	}](c)
	if err == nil {
		err = required("refreshToken", body.RefreshToken)
	}
	return authapi.LogOutRequest{RefreshToken: body.RefreshToken}, err
}

func presentLoggedOut(rpc.Nothing) any { return message{"Logged out."} }
