// Package transport binds auth's operations to its use cases.
package transport

import (
	"boxoffice/apps/auth/internal/auth"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
)

// Bind registers the use cases of svc as the handlers of auth's operations. They take
// and return the contract's types, so nothing is converted.
func Bind(srv *rpc.Server, svc *auth.Service) {
	rpc.HandleChecked(srv, authapi.Register, svc.CheckRegister, svc.Register)
	rpc.HandleChecked(srv, authapi.LogIn, svc.CheckLogIn, svc.LogIn)
	rpc.Handle(srv, authapi.Refresh, svc.Refresh)
	rpc.Handle(srv, authapi.LogOut, svc.LogOut)
	rpc.Handle(srv, authapi.CheckSession, svc.CheckSession)
	rpc.Handle(srv, authapi.GetKeys, svc.GetKeys)
}
