package auth

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/subnet"
	"boxoffice/shared/telemetry"
	"boxoffice/shared/validation"
)

// unknownUserID is the id that is looked up when no account has the e-mail address,
// so that an unknown address costs the same look-ups as a known one.
const unknownUserID = "-"

// LogIn verifies a password and starts a session; see authapi.LogIn. It returns
// ErrInvalidCredentials for an unknown address, a wrong password and an inactive
// account alike, after about the same time. It returns an error with the reason
// auth.locked while the client's address is locked out of the account, and
// apperr.Overloaded if the queue for hashing is full.
func (s *Service) LogIn(ctx context.Context, req authapi.LogInRequest) (authapi.Login, error) {
	email, password := NormalizeEmail(req.Email), req.Password
	var problems validation.Problems
	checkEmail(&problems, email)
	if password == "" {
		problems.Add("password", "required", "is required")
	}
	if err := problems.Err(); err != nil {
		return authapi.Login{}, err
	}
	return s.logIn(ctx, email, password, req.Device)
}

// logIn is LogIn for a valid e-mail address in its normalised form.
func (s *Service) logIn(ctx context.Context, email, password string, device authapi.Device) (authapi.Login, error) {
	device = clipped(device)
	origin := subnet.Of(device.Address) // by which attempts are counted
	release, err := s.logIns.acquire(ctx, email+" "+origin)
	if err != nil {
		return authapi.Login{}, err
	}
	defer release()
	unlock := s.locker.Lock(ctx, "login:"+email)
	defer unlock()

	if err := s.beginAttempt(ctx, email, origin); err != nil {
		return authapi.Login{}, err
	}
	u, lease, err := s.verifyPassword(ctx, email, password)
	if err != nil {
		// An attempt whose password was not verified is not a failed guess.
		if !errors.Is(err, ErrInvalidCredentials) {
			err = s.withdrawAttempt(ctx, email, origin, err)
		}
		return authapi.Login{}, fmt.Errorf("log in: %w", err)
	}
	if err := s.attempts.Clear(ctx, email, origin); err != nil {
		return authapi.Login{}, fmt.Errorf("log in: %w", err)
	}
	tokens, err := s.startSession(ctx, u, device)
	if err != nil {
		return authapi.Login{}, fmt.Errorf("log in: %w", err)
	}
	s.cache.FillUser(ctx, lease, u)
	return authapi.Login{User: u.Public(), Tokens: tokens}, nil
}

// beginAttempt counts an attempt, and delays it if the account has many recent
// failures. If the address is locked out, beginAttempt does not count the attempt and
// returns an error with the reason auth.locked.
func (s *Service) beginAttempt(ctx context.Context, email, address string) error {
	decision, err := s.attempts.Begin(ctx, email, address)
	if err != nil {
		return fmt.Errorf("count the log-in: %w", err)
	}
	if decision.Locked {
		return errLocked(decision.RetryAfter)
	}
	if decision.Delay > 0 {
		if err := s.clock.Sleep(ctx, decision.Delay); err != nil {
			return fmt.Errorf("delay the log-in: %w", s.withdrawAttempt(ctx, email, address, err))
		}
	}
	return nil
}

// withdrawAttempt takes back an attempt that failed with err before its password
// was verified, even if ctx has ended. It returns err, joined with the error of
// Withdraw if there is one.
func (s *Service) withdrawAttempt(ctx context.Context, email, address string, err error) error {
	return errors.Join(err, s.attempts.Withdraw(context.WithoutCancel(ctx), email, address))
}

// verifyPassword returns the active account of an e-mail address and password, and
// the cache lease that was taken before the account was read. It returns
// ErrInvalidCredentials if there is no such account.
func (s *Service) verifyPassword(ctx context.Context, email, password string) (u User, lease string, err error) {
	id, err := s.users.IDByEmail(ctx, email)
	if errors.Is(err, ErrNoUser) {
		id = unknownUserID
	} else if err != nil {
		return User{}, "", err
	}
	lease = s.cache.LeaseUser(ctx, id)
	u, err = s.users.User(ctx, id)
	if err != nil && !errors.Is(err, ErrNoUser) {
		return User{}, "", err
	}
	if utf8.RuneCountInString(normalPassword(password)) > maxPassword {
		password = "" // matches no account, and costs one hash like any other
	}
	ok, outdated, err := s.hasher.Matches(ctx, u.PasswordHash, password)
	if err != nil {
		return User{}, "", err
	}
	if !ok || !u.Active {
		return User{}, "", ErrInvalidCredentials
	}
	if outdated {
		s.rehash(ctx, u, password)
	}
	return u, lease, nil
}

// rehash replaces a stored hash with one that has the current parameters. A failure is
// only logged: the next log-in tries again.
func (s *Service) rehash(ctx context.Context, u User, password string) {
	hash, err := s.hasher.Hash(ctx, password)
	if err == nil {
		err = s.users.Rehash(ctx, u.ID, u.PasswordHash, hash)
	}
	if err != nil {
		s.log.WarnContext(ctx, "could not rehash password", telemetry.KeyUserID, u.ID, telemetry.KeyError, err.Error())
	}
}
