package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/subnet"
	"boxoffice/shared/telemetry"
	"boxoffice/shared/token"
	"boxoffice/shared/validation"
)

const maxName = 100 // code points

// Register creates an account and logs it in; see authapi.Register. It returns the
// first of these errors that applies: one error for all invalid fields,
// ErrAdminRequired, ErrWeakPassword, apperr.Overloaded, ErrEmailTaken. A refusal
// writes nothing. A request that is repeated with the same user id, e-mail address and
// password logs the existing account in.
func (s *Service) Register(ctx context.Context, req authapi.RegisterRequest) (authapi.Login, error) {
	u, err := s.newUser(req)
	if err != nil {
		return authapi.Login{}, err
	}
	if u.Role == RoleAdmin {
		if err := s.requireAdmin(ctx, req.CallerToken); err != nil {
			return authapi.Login{}, err
		}
	}
	network := subnet.Of(req.Device.Address)
	stored, isNew, err := s.addUser(ctx, network, u, req.Password)
	if err != nil {
		return authapi.Login{}, fmt.Errorf("register: %w", err)
	}
	if !isNew {
		return s.registerAgain(ctx, u, req)
	}
	s.attempts.Remember(ctx, s.pseudonyms.Account(u.Email), s.pseudonyms.Address(network))
	tokens, err := s.startSession(ctx, stored, req.Device)
	if err != nil {
		return authapi.Login{}, fmt.Errorf("register: %w", err)
	}
	return authapi.Login{User: stored.Public(), Tokens: tokens}, nil
}

// CheckRegister returns the error of Register for a request with invalid values.
func (s *Service) CheckRegister(_ context.Context, req authapi.RegisterRequest) error {
	_, err := s.newUser(req)
	return err
}

// registerAgain answers a registration of u whose account exists. The id and the e-mail
// address prove nothing, so the request is a log-in: its password is verified, and a wrong
// one counts. It returns ErrEmailTaken for a wrong password, as for the registration of an
// address that belongs to another account.
func (s *Service) registerAgain(ctx context.Context, u User, req authapi.RegisterRequest) (authapi.Login, error) {
	login, err := s.logIn(ctx, u.Email, req.Password, req.Device)
	if errors.Is(err, ErrInvalidCredentials) || err == nil && login.User.ID != u.ID {
		return authapi.Login{}, ErrEmailTaken
	}
	return login, err
}

// requireAdmin returns ErrAdminRequired unless raw is the access token of a live session
// whose user is an active admin. The role is that of the user's record. The caller's claim
// that it serves an admin would prove nothing.
func (s *Service) requireAdmin(ctx context.Context, raw string) error {
	if raw == "" {
		return ErrAdminRequired
	}
	keys, err := s.keys.Keyring()
	if err != nil {
		return fmt.Errorf("require an admin: %w", err)
	}
	claims, err := token.Verify(raw, keys, s.clock.Now())
	if err != nil || claims.Type != token.Access {
		return ErrAdminRequired
	}
	checked, err := s.CheckSession(ctx, authapi.CheckSessionRequest{UserID: claims.Subject, SessionID: claims.SessionID})
	switch {
	case err != nil && apperr.From(err).Code == apperr.Unauthenticated:
		return ErrAdminRequired
	case err != nil:
		return fmt.Errorf("require an admin: %w", err)
	case !checked.User.IsActive || checked.User.Role != authapi.RoleAdmin:
		return ErrAdminRequired
	}
	return nil
}

// EnsureAdmin creates the first admin. If the e-mail address already has an account,
// EnsureAdmin does not change it, but logs a warning if it is not an active admin with this
// password. In either case the password must satisfy the rules
// for new passwords.
func (s *Service) EnsureAdmin(ctx context.Context, email, password string) error {
	u, err := s.newUser(authapi.RegisterRequest{
		UserID: s.ids.NewID(), Email: email, Password: password, Name: "Administrator", Role: string(RoleAdmin),
	})
	if err != nil {
		return wrapAdmin(err)
	}
	if s.policy.IsWeak(normalPassword(password), u.Email) {
		return wrapAdmin(ErrWeakPassword)
	}
	existing, err := s.userByEmail(ctx, u.Email)
	if errors.Is(err, ErrNoUser) {
		if _, _, err = s.addUser(ctx, "", u, password); err == nil || !errors.Is(err, ErrEmailTaken) {
			return wrapAdmin(err)
		}
		// Another replica or a client took the address in the meantime.
		if existing, err = s.userByEmail(ctx, u.Email); errors.Is(err, ErrNoUser) {
			return nil // its account is about to be stored
		}
	}
	if err != nil {
		return wrapAdmin(err)
	}
	s.checkAdmin(ctx, existing, password)
	return nil
}

func wrapAdmin(err error) error {
	if err != nil {
		return fmt.Errorf("first admin: %w", err)
	}
	return nil
}

// userByEmail returns the account of a normalised e-mail address, or ErrNoUser.
func (s *Service) userByEmail(ctx context.Context, email string) (User, error) {
	id, err := s.users.IDByEmail(ctx, email)
	if err != nil {
		return User{}, err
	}
	return s.users.User(ctx, id)
}

// checkAdmin logs a warning if the account that has the first admin's e-mail address is not
// what the configuration says. The configuration never changes an account, so that a
// start with an old configuration cannot undo a change.
func (s *Service) checkAdmin(ctx context.Context, u User, password string) {
	if u.Role != RoleAdmin {
		s.log.WarnContext(ctx, "ADMIN_EMAIL belongs to a user who is not an admin: no admin was created", telemetry.KeyUserID, u.ID)
		return
	}
	if !u.Active {
		s.log.WarnContext(ctx, "ADMIN_EMAIL belongs to an inactive admin", telemetry.KeyUserID, u.ID)
	}
	switch ok, _, err := s.hasher.Matches(ctx, "", u.PasswordHash, password); {
	case err != nil:
		s.log.WarnContext(ctx, "could not compare ADMIN_PASSWORD with the admin's password", telemetry.KeyUserID, u.ID, telemetry.KeyError, err.Error())
	case !ok:
		s.log.WarnContext(ctx, "ADMIN_PASSWORD is ignored: it is not the password of the existing admin", telemetry.KeyUserID, u.ID)
	}
}

// addUser hashes the password for a client's network and stores the account. isNew is false if the account exists
// already, because the request is repeated. It returns ErrWeakPassword if the policy
// rejects the password.
func (s *Service) addUser(ctx context.Context, network string, u User, password string) (stored User, isNew bool, err error) {
	if s.policy.IsWeak(normalPassword(password), u.Email) {
		return User{}, false, ErrWeakPassword
	}
	hash, err := s.hasher.Hash(ctx, network, password)
	if err != nil {
		return User{}, false, err
	}
	u.PasswordHash = hash
	stored, err = s.users.Add(ctx, u)
	// The hash contains a new salt, so no other request stored the same one.
	return stored, err == nil && stored.PasswordHash == hash, err
}

// newUser validates a registration and returns its account, without a password hash.
func (s *Service) newUser(req authapi.RegisterRequest) (User, error) {
	now := instant(s.clock.Now())
	u := User{
		ID: req.UserID, Email: NormalizeEmail(req.Email), Name: strings.TrimSpace(req.Name), Role: RoleUser, Active: true,
		PasswordVersion: 1, Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	var problems validation.Problems
	checkEmail(&problems, u.Email)
	checkNewPassword(&problems, req.Password)
	checkName(&problems, u.Name)
	problems.ID("userId", u.ID)
	if req.Role != "" {
		role, err := ParseRole(req.Role)
		if err != nil {
			problems.Add("role", "unknown", "must be user or admin")
		}
		u.Role = role
	}
	return u, problems.Err()
}

func checkEmail(problems *validation.Problems, normalised string) {
	switch {
	case normalised == "":
		problems.Add("email", "required", "is required")
	case utf8.RuneCountInString(normalised) > maxEmail:
		problems.MaxLength("email", normalised, maxEmail)
	case !validEmail(normalised):
		problems.Add("email", "invalid", "must be an e-mail address")
	}
}

func checkName(problems *validation.Problems, name string) {
	switch {
	case name == "":
		problems.Add("name", "required", "is required")
	case strings.ContainsFunc(name, isUnsafe) || !utf8.ValidString(name):
		problems.Add("name", "invalid", "must not contain control characters or invisible characters")
	case !strings.ContainsFunc(name, isVisible):
		problems.Add("name", "invalid", "must contain a letter, a digit or a symbol")
	}
	problems.MaxLength("name", name, maxName)
}

func checkNewPassword(problems *validation.Problems, password string) {
	normal := normalPassword(password)
	switch n := utf8.RuneCountInString(normal); {
	case n == 0:
		problems.Add("password", "required", "is required")
	case !utf8.ValidString(password):
		problems.Add("password", "invalid", "must be valid UTF-8")
	case n < minPassword:
		problems.Add("password", "too_short", "must have at least %d characters, not %d", minPassword, n)
	default:
		problems.MaxLength("password", normal, maxPassword)
	}
}
