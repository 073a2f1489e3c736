package auth

import (
	"context"
	"errors"
	"fmt"
	"time"
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
// auth.locked while the client's address is locked out of the account, one with the reason
// rate_limited if the address is unknown and many others have failed before it, and
// apperr.Overloaded if the queue for hashing is full.
func (s *Service) LogIn(ctx context.Context, req authapi.LogInRequest) (authapi.Login, error) {
	if err := s.CheckLogIn(ctx, req); err != nil {
		return authapi.Login{}, err
	}
	return s.logIn(ctx, NormalizeEmail(req.Email), req.Password, req.Device)
}

// CheckLogIn returns the error of LogIn for a request with invalid values.
func (s *Service) CheckLogIn(_ context.Context, req authapi.LogInRequest) error {
	var problems validation.Problems
	checkEmail(&problems, NormalizeEmail(req.Email))
	if req.Password == "" {
		problems.Add("password", "required", "is required")
	}
	return problems.Err()
}

// logIn is LogIn for a valid e-mail address in its normalised form.
func (s *Service) logIn(ctx context.Context, email, password string, device authapi.Device) (authapi.Login, error) {
	device = clipped(device)
	network := subnet.Of(device.Address)
	a := Attempt{ID: s.ids.NewID(), Account: s.pseudonyms.Account(email), Address: s.pseudonyms.Address(network)}
	release, err := s.logIns.acquire(ctx, a.Account+" "+a.Address)
	if err != nil {
		return authapi.Login{}, err
	}
	defer release()

	decision, err := s.beginAttempt(ctx, a)
	if err != nil {
		return authapi.Login{}, err
	}
	// The attempt begins before it takes the lock. Attempts that wait for their turn must
	// not delay those from known addresses.
	unlock := s.locker.Lock(ctx, lockName(email))
	defer unlock()
	u, lease, err := s.verifyPassword(ctx, network, email, password)
	if err != nil {
		return authapi.Login{}, fmt.Errorf("log in: %w", s.endFailed(ctx, a, decision, err))
	}
	if err := s.attempts.Succeed(ctx, a); err != nil {
		return authapi.Login{}, fmt.Errorf("log in: %w", err)
	}
	tokens, err := s.startSession(ctx, u, device)
	if err != nil {
		return authapi.Login{}, fmt.Errorf("log in: %w", err)
	}
	s.cache.FillUser(ctx, lease, u)
	return authapi.Login{User: u.Public(), Tokens: tokens}, nil
}

// beginAttempt counts an attempt, after it has waited for its turn if it needs one, and
// delays it if the account has many recent failures. It does not count an attempt that it
// refuses: with the reason auth.locked if the address is locked out, and rate_limited if
// the attempt gets no turn within turnWait.
func (s *Service) beginAttempt(ctx context.Context, a Attempt) (AttemptDecision, error) {
	decision, err := s.attempts.Begin(ctx, a)
	for waited := time.Duration(0); err == nil && decision.Busy && waited < turnWait; waited += turnPoll {
		if err = s.clock.Sleep(ctx, turnPoll); err == nil {
			decision, err = s.attempts.Begin(ctx, a)
		}
	}
	switch {
	case err != nil:
		return decision, fmt.Errorf("count the log-in: %w", err)
	case decision.Locked:
		s.log.InfoContext(ctx, "log-in refused: address is locked out of the account", attrs(a)...)
		return decision, errLocked(decision.RetryAfter)
	case decision.Busy:
		s.log.InfoContext(ctx, "log-in refused: unknown addresses take turns after many failures", attrs(a)...)
		return decision, errNoTurn()
	}
	if decision.Delay > 0 {
		if err := s.clock.Sleep(ctx, decision.Delay); err != nil {
			return decision, fmt.Errorf("delay the log-in: %w", s.withdrawAttempt(ctx, a, err))
		}
	}
	return decision, nil
}

// endFailed ends an attempt that failed with err, and returns err, joined with the error of
// the port if there is one. An attempt whose password was not verified is not a failed
// guess.
func (s *Service) endFailed(ctx context.Context, a Attempt, decision AttemptDecision, err error) error {
	if !errors.Is(err, ErrInvalidCredentials) {
		return s.withdrawAttempt(ctx, a, err)
	}
	if decision.Lock > 0 {
		s.log.WarnContext(ctx, "log-in failed: address is locked out of the account", append(attrs(a), "locked_for", decision.Lock.String())...)
	} else {
		s.log.InfoContext(ctx, "log-in failed", attrs(a)...)
	}
	if !decision.HasTurn {
		return err
	}
	return errors.Join(err, s.attempts.Fail(context.WithoutCancel(ctx), a))
}

// withdrawAttempt takes back an attempt that failed with err before its password
// was verified, even if ctx has ended. It returns err, joined with the error of
// Withdraw if there is one.
func (s *Service) withdrawAttempt(ctx context.Context, a Attempt, err error) error {
	return errors.Join(err, s.attempts.Withdraw(context.WithoutCancel(ctx), a))
}

// attrs returns the log attributes of an attempt. They are pseudonyms.
func attrs(a Attempt) []any {
	return []any{telemetry.KeyAccountHash, a.Account, telemetry.KeyAddressHash, a.Address}
}

// verifyPassword returns the active account of an e-mail address and password, and
// the cache lease that was taken before the account was read. It returns
// ErrInvalidCredentials if there is no such account. The hash is computed for the client's
// network.
func (s *Service) verifyPassword(ctx context.Context, network, email, password string) (u User, lease string, err error) {
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
	ok, outdated, err := s.hasher.Matches(ctx, network, u.PasswordHash, password)
	if err != nil {
		return User{}, "", err
	}
	if !ok || !u.Active {
		return User{}, "", ErrInvalidCredentials
	}
	if outdated {
		s.rehash(ctx, network, u, password)
	}
	return u, lease, nil
}

// rehash replaces a stored hash with one that has the current parameters. A failure is
// only logged: the next log-in tries again.
func (s *Service) rehash(ctx context.Context, network string, u User, password string) {
	hash, err := s.hasher.Hash(ctx, network, password)
	if err == nil {
		err = s.users.Rehash(ctx, u.ID, u.PasswordHash, hash)
	}
	if err != nil {
		s.log.WarnContext(ctx, "could not rehash password", telemetry.KeyUserID, u.ID, telemetry.KeyError, err.Error())
	}
}
