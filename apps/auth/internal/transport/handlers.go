// Package transport binds auth's operations to its use cases.
package transport

import (
	"context"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/token"
)

// Bind serves auth's operations with the service.
func Bind(srv *rpc.Server, svc *auth.Service) {
	h := handlers{svc}
	rpc.Handle(srv, authapi.Register, h.register)
	rpc.Handle(srv, authapi.LogIn, h.logIn)
	rpc.Handle(srv, authapi.Refresh, h.refresh)
	rpc.Handle(srv, authapi.LogOut, h.logOut)
	rpc.Handle(srv, authapi.CheckSession, h.checkSession)
	rpc.Handle(srv, authapi.GetKeys, h.fetchKeys)
}

type handlers struct{ svc *auth.Service }

func (h handlers) register(ctx context.Context, r authapi.RegisterRequest) (authapi.Login, error) {
	login, err := h.svc.Register(ctx, auth.Registration{
		UserID: r.UserID, Email: r.Email, Password: r.Password, Name: r.Name, Role: r.Role, ByAdmin: r.ByAdmin,
		Device: auth.Device(r.Device),
	})
	if err != nil {
		return authapi.Login{}, err
	}
	return toLogin(login), nil
}

func (h handlers) logIn(ctx context.Context, r authapi.LogInRequest) (authapi.Login, error) {
	login, err := h.svc.LogIn(ctx, r.Email, r.Password, auth.Device(r.Device))
	if err != nil {
		return authapi.Login{}, err
	}
	return toLogin(login), nil
}

func (h handlers) refresh(ctx context.Context, r authapi.RefreshRequest) (authapi.Refreshed, error) {
	tokens, err := h.svc.Refresh(ctx, r.RefreshToken, r.Email)
	if err != nil {
		return authapi.Refreshed{}, err
	}
	return authapi.Refreshed{Tokens: toTokens(tokens)}, nil
}

func (h handlers) logOut(ctx context.Context, r authapi.LogOutRequest) (rpc.Nothing, error) {
	return rpc.Nothing{}, h.svc.LogOut(ctx, r.RefreshToken)
}

func (h handlers) checkSession(ctx context.Context, r authapi.CheckSessionRequest) (authapi.CheckedSession, error) {
	checked, err := h.svc.CheckSession(ctx, r.UserID, r.SessionID, r.Lease)
	if err != nil {
		return authapi.CheckedSession{}, err
	}
	return authapi.CheckedSession{Session: checked.Family.Public(r.UserID), User: checked.User.Public()}, nil
}

func (h handlers) fetchKeys(context.Context, rpc.Nothing) (token.KeySet, error) {
	return h.svc.PublicKeys()
}

func toLogin(l auth.Login) authapi.Login {
	return authapi.Login{User: l.User.Public(), Tokens: toTokens(l.Tokens)}
}

func toTokens(t auth.Tokens) authapi.Tokens {
	return authapi.Tokens{
		AccessToken: t.Access, RefreshToken: t.Refresh, TokenType: "Bearer",
		ExpiresIn: int64(t.ExpiresIn.Seconds()),
	}
}
