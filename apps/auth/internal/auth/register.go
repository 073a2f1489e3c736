package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"boxoffice/shared/apperr"
)

const maxName = 100 // code points

// Registration asks for an account.
type Registration struct {
	UserID   string // chosen by the caller, the same when it asks again
	Email    string
	Password string
	Name     string
	Role     string // RoleUser when empty
	ByAdmin  bool   // an admin asks
	Device   Device
}

// Login is a user with the tokens of a new session.
type Login struct {
	User   User
	Tokens Tokens
}

// Register makes an account and logs it in. It refuses, in this order, what is
// invalid (listing every wrong field), ErrAdminRequired, ErrWeakPassword, an
// overload, and ErrEmailTaken; nothing is written then. Asked again with the same
// id it logs the same account in.
func (s *Service) Register(ctx context.Context, r Registration) (Login, error) {
	u, err := s.newUser(r)
	if err != nil {
		return Login{}, err
	}
	if u.Role == RoleAdmin && !r.ByAdmin {
		return Login{}, ErrAdminRequired
	}
	u, err = s.add(ctx, u, r.Password)
	if err != nil {
		return Login{}, fmt.Errorf("register: %w", err)
	}
	tokens, err := s.startSession(ctx, u, r.Device)
	if err != nil {
		return Login{}, fmt.Errorf("register: %w", err)
	}
	return Login{u, tokens}, nil
}

// EnsureAdmin makes the first admin, unless there is an account of that address.
// The password obeys the rules for all.
func (s *Service) EnsureAdmin(ctx context.Context, email, password string) error {
	u, err := s.newUser(Registration{
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
func (s *Service) newUser(r Registration) (User, error) {
	now := instant(s.clock.Now())
	u := User{
		ID: r.UserID, Email: NormalizeEmail(r.Email), Name: strings.TrimSpace(r.Name), Role: RoleUser, Active: true,
		PasswordVersion: 1, Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	var wrong fields
	wrong.email(u.Email)
	wrong.newPassword(r.Password)
	wrong.length("name", utf8.RuneCountInString(u.Name), 1, maxName)
	if strings.IndexFunc(u.Name, unicode.IsControl) >= 0 || !utf8.ValidString(u.Name) {
		wrong.add("name", "malformed", "holds characters that no name has")
	}
	if u.ID == "" {
		wrong.add("userId", "required", "is required")
	}
	if r.Role != "" {
		role, err := ParseRole(r.Role)
		if err != nil {
			wrong.add("role", "unknown", "must be user or admin")
		}
		u.Role = role
	}
	return u, wrong.err()
}

// fields collects what is wrong with a request.
type fields []apperr.Field

func (f *fields) add(field, code, message string) {
	*f = append(*f, apperr.Field{Field: field, Code: code, Message: message})
}

func (f *fields) email(normalised string) {
	switch n := utf8.RuneCountInString(normalised); {
	case n == 0:
		f.add("email", "required", "is required")
	case n > maxEmail:
		f.length("email", n, 1, maxEmail)
	case !validEmail(normalised):
		f.add("email", "malformed", "must be an e-mail address")
	}
}

func (f *fields) newPassword(password string) {
	if !utf8.ValidString(password) {
		f.add("password", "malformed", "must be text")
		return
	}
	f.length("password", utf8.RuneCountInString(normalPassword(password)), minPassword, maxPassword)
}

func (f *fields) length(field string, n, least, most int) {
	switch {
	case n == 0:
		f.add(field, "required", "is required")
	case n < least:
		f.add(field, "too_short", fmt.Sprintf("must have at least %d characters", least))
	case n > most:
		f.add(field, "too_long", fmt.Sprintf("must have at most %d characters", most))
	}
}

func (f fields) err() error {
	if len(f) == 0 {
		return nil
	}
	return apperr.InvalidFields(f...)
}
