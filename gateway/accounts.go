package main

import (
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
)

func bindRegister(c *call) (authapi.RegisterRequest, error) {
	body, err := decode[struct {
		Email    string `json:"email"`
		Password string `json:"password"`
		Name     string `json:"name"`
		Role     string `json:"role"`
	}](c)
	req := authapi.RegisterRequest{
		UserID: newID(), Email: body.Email, Password: body.Password, Name: body.Name, Role: body.Role,
		Device: c.device(),
	}
	if body.Role == authapi.RoleAdmin { // auth needs no proof for anything else
		req.CallerToken = bearerToken(c.Ctx)
	}
	return req, err
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
	err = required(err, "refreshToken", body.RefreshToken)
	return authapi.RefreshRequest{RefreshToken: body.RefreshToken, Email: body.Email}, err
}

func bindLogOut(c *call) (authapi.LogOutRequest, error) {
	body, err := decode[struct {
		RefreshToken string `json:"refreshToken"`
	}](c)
	err = required(err, "refreshToken", body.RefreshToken)
	return authapi.LogOutRequest{RefreshToken: body.RefreshToken}, err
}

func presentLoggedOut(rpc.Nothing) any { return message{"Logged out."} }
