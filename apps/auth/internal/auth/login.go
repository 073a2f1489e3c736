package auth

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/telemetry"
	"boxoffice/shared/validation"
)

// nobody stands for the id of an account that does not exist, so that one costs
// the same look-ups as one that does.
const nobody = "-"

// LogIn starts a session. It refuses what is invalid; apperr.RateLimited
// auth.locked while the address has failed too often at this account; an
// overload; and ErrInvalidCredentials, which does not tell an unknown address, a
// wrong password and an inactive account apart, neither by its words nor by its
// time.
func (s *Service) LogIn(ctx context.Context, req authapi.LogInRequest) (authapi.Login, error) {
	email, password, d := NormalizeEmail(req.Email), req.Password, clipped(req.Device)
	var wrong validation.Problems
	checkEmail(&wrong, email)
	if password == "" {
		wrong.Add("password", "required", "is required")
	}
	if err := wrong.Err(); err != nil {
		return authapi.Login{}, err
	}
	leave, err := s.gate.enter(ctx, email+" "+d.Address)
	if err != nil {
		return authapi.Login{}, err
	}
	defer leave()
	unlock := s.locker.Lock(ctx, "login:"+email)
	defer unlock()

	if err := s.begin(ctx, email, d.Address); err != nil {
		return authapi.Login{}, err
	}
	u, lease, err := s.verify(ctx, email, password)
	if err != nil {
		// Only an answer about the password makes it an attempt, also when there
		// was no time left for one.
		if !errors.Is(err, ErrInvalidCredentials) {
			err = s.withdraw(ctx, email, d.Address, err)
		}
		return authapi.Login{}, fmt.Errorf("log in: %w", err)
	}
	if err := s.attempts.Clear(ctx, email, d.Address); err != nil {
		return authapi.Login{}, fmt.Errorf("log in: %w", err)
	}
	tokens, err := s.startSession(ctx, u, d)
	if err != nil {
		return authapi.Login{}, fmt.Errorf("log in: %w", err)
	}
	s.cache.FillUser(ctx, lease, u)
	return authapi.Login{User: u.Public(), Tokens: tokens}, nil
}

// begin counts the attempt and waits when the account is under attack.
func (s *Service) begin(ctx context.Context, email, address string) error {
	verdict, err := s.attempts.Begin(ctx, email, address)
	if err != nil {
		return fmt.Errorf("count the log-in: %w", err)
	}
	if verdict.Locked {
		return errLocked(verdict.RetryAfter)
	}
	if verdict.Delay > 0 {
		if err := s.clock.Sleep(ctx, verdict.Delay); err != nil {
			return fmt.Errorf("delay the log-in: %w", s.withdraw(ctx, email, address, err))
		}
	}
	return nil
}

// withdraw takes an attempt back that ended with err before its password was
// looked at, also when nobody waits for it any more.
func (s *Service) withdraw(ctx context.Context, email, address string, err error) error {
	return errors.Join(err, s.attempts.Withdraw(context.WithoutCancel(ctx), email, address))
}

// verify returns the active account of that address and password, and the lease
// under which it was read, or ErrInvalidCredentials.
func (s *Service) verify(ctx context.Context, email, password string) (u User, lease string, err error) {
	id, err := s.users.IDByEmail(ctx, email)
	if errors.Is(err, ErrNoUser) {
		id = nobody
	} else if err != nil {
		return User{}, "", err
	}
	lease = s.cache.LeaseUser(ctx, id)
	u, err = s.users.User(ctx, id)
	if err != nil && !errors.Is(err, ErrNoUser) {
		return User{}, "", err
	}
	if utf8.RuneCountInString(normalPassword(password)) > maxPassword {
		password = "" // matches no account's, at the usual cost
	}
	ok, old, err := s.hasher.Matches(ctx, u.PasswordHash, password)
	if err != nil {
		return User{}, "", err
	}
	if !ok || !u.Active {
		return User{}, "", ErrInvalidCredentials
	}
	if old {
		s.rehash(ctx, u, password)
	}
	return u, lease, nil
}

// rehash brings a stored hash up to today's parameters. Should it fail, the next
// log-in tries again.
func (s *Service) rehash(ctx context.Context, u User, password string) {
	hash, err := s.hasher.Hash(ctx, password)
	if err == nil {
		err = s.users.Rehash(ctx, u.ID, u.PasswordHash, hash)
	}
	if err != nil {
		s.log.WarnContext(ctx, "password not rehashed", telemetry.KeyUserID, u.ID, telemetry.KeyError, err.Error())
	}
}
