package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/validation"
)

const maxName = 100 // code points

// Register makes an account and logs it in. It refuses, in this order, what is
// invalid (listing every wrong field), ErrAdminRequired, ErrWeakPassword, an
// overload, and ErrEmailTaken; nothing is written then. Asked again with the same
// id it logs the same account in.
func (s *Service) Register(ctx context.Context, r authapi.RegisterRequest) (authapi.Login, error) {
	u, err := s.newUser(r)
	if err != nil {
		return authapi.Login{}, err
	}
	if u.Role == RoleAdmin && !r.ByAdmin {
		return authapi.Login{}, ErrAdminRequired
	}
	u, err = s.add(ctx, u, r.Password)
	if err != nil {
		return authapi.Login{}, fmt.Errorf("register: %w", err)
	}
	tokens, err := s.startSession(ctx, u, r.Device)
	if err != nil {
		return authapi.Login{}, fmt.Errorf("register: %w", err)
	}
	return authapi.Login{User: u.Public(), Tokens: tokens}, nil
}

// EnsureAdmin makes the first admin, unless there is an account of that address.
// The password obeys the rules for all.
func (s *Service) EnsureAdmin(ctx context.Context, email, password string) error {
	u, err := s.newUser(authapi.RegisterRequest{
		UserID: s.ids.NewID(), Email: email, Password: password, Name: "Administrator", Role: string(RoleAdmin),
	})
	if err != nil {
		return fmt.Errorf("first admin: %w", err)
	}
	if s.policy.Weak(normalPassword(password), u.Email) {
		return fmt.Errorf("first admin: %w", ErrWeakPassword)
	}
	id, err := s.users.IDByEmail(ctx, u.Email)
	if err == nil {
		_, err = s.users.User(ctx, id)
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, ErrNoUser) {
		return fmt.Errorf("first admin: %w", err)
	}
	if _, err = s.add(ctx, u, password); err != nil && !errors.Is(err, ErrEmailTaken) {
		return fmt.Errorf("first admin: %w", err)
	}
	return nil
}

// add stores a new account under that password.
func (s *Service) add(ctx context.Context, u User, password string) (User, error) {
	if s.policy.Weak(normalPassword(password), u.Email) {
		return User{}, ErrWeakPassword
	}
	hash, err := s.hasher.Hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	u.PasswordHash = hash
	return s.users.Add(ctx, u)
}

// newUser returns the account that is asked for, still without a password.
func (s *Service) newUser(r authapi.RegisterRequest) (User, error) {
	now := instant(s.clock.Now())
	u := User{
		ID: r.UserID, Email: NormalizeEmail(r.Email), Name: strings.TrimSpace(r.Name), Role: RoleUser, Active: true,
		PasswordVersion: 1, Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	var wrong validation.Problems
	checkEmail(&wrong, u.Email)
	checkNewPassword(&wrong, r.Password)
	checkName(&wrong, u.Name)
	wrong.ID("userId", u.ID)
	if r.Role != "" {
		role, err := ParseRole(r.Role)
		if err != nil {
			wrong.Add("role", "unknown", "must be user or admin")
		}
		u.Role = role
	}
	return u, wrong.Err()
}

func checkEmail(wrong *validation.Problems, normalised string) {
	switch {
	case normalised == "":
		wrong.Add("email", "required", "is required")
	case utf8.RuneCountInString(normalised) > maxEmail:
		wrong.MaxLength("email", normalised, maxEmail)
	case !validEmail(normalised):
		wrong.Add("email", "invalid", "must be an e-mail address")
	}
}

func checkName(wrong *validation.Problems, name string) {
	switch {
	case name == "":
		wrong.Add("name", "required", "is required")
	case strings.IndexFunc(name, unicode.IsControl) >= 0 || !utf8.ValidString(name):
		wrong.Add("name", "invalid", "holds characters that no name has")
	}
	wrong.MaxLength("name", name, maxName)
}

func checkNewPassword(wrong *validation.Problems, password string) {
	normal := normalPassword(password)
	switch n := utf8.RuneCountInString(normal); {
	case n == 0:
		wrong.Add("password", "required", "is required")
	case !utf8.ValidString(password):
		wrong.Add("password", "invalid", "must be text")
	case n < minPassword:
		wrong.Add("password", "too_short", "has %d characters, at least %d are needed", n, minPassword)
	default:
		wrong.MaxLength("password", normal, maxPassword)
	}
}
