package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/token"
)

// maxTries bounds how often a compare-and-set is tried. Each miss means that
// another one won, so that only an entry that is there and cannot be read (it has
// just run out, and the store has not yet removed it) gets that far.
const maxTries = 100

// Config is what a Service needs. All fields must be set.
type Config struct {
	Users    Users
	Sessions Sessions
	Attempts Attempts
	Cache    Cache
	Locker   Locker
	Clock    Clock
	IDs      IDs
	Keys     Keys
	Hasher   *Hasher
	Policy   *Policy
	Log      *slog.Logger

	AccessTTL  time.Duration // of an access token; at most MaxAccessTTL
	SessionTTL time.Duration // from the log-in or the last refresh
}

// Service is the use cases.
type Service struct {
	users      Users
	sessions   Sessions
	attempts   Attempts
	cache      Cache
	locker     Locker
	clock      Clock
	ids        IDs
	keys       Keys
	hasher     *Hasher
	policy     *Policy
	log        *slog.Logger
	accessTTL  time.Duration
	sessionTTL time.Duration
	gate       *gate
}

// New returns the service.
func New(cfg Config) (*Service, error) {
	if cfg.AccessTTL < time.Second || cfg.AccessTTL > MaxAccessTTL {
		return nil, fmt.Errorf("auth: access tokens live from a second to %s, not %s", MaxAccessTTL, cfg.AccessTTL)
	}
	if cfg.SessionTTL < time.Second || cfg.SessionTTL > MaxFamilyAge {
		return nil, fmt.Errorf("auth: sessions live from a second to %s, not %s", MaxFamilyAge, cfg.SessionTTL)
	}
	return &Service{
		users: cfg.Users, sessions: cfg.Sessions, attempts: cfg.Attempts, cache: cfg.Cache,
		locker: cfg.Locker, clock: cfg.Clock, ids: cfg.IDs, keys: cfg.Keys,
		hasher: cfg.Hasher, policy: cfg.Policy, log: cfg.Log,
		accessTTL: cfg.AccessTTL, sessionTTL: cfg.SessionTTL,
		gate: newGate(),
	}, nil
}

// change lets fn alter a user's entry until it is stored as fn left it. fn runs
// again on a fresh entry when another change came between, and returns false to
// leave the entry as it is; its error ends the attempt, unless there is something
// to store first.
func (s *Service) change(ctx context.Context, userID string, fn func(*Entry) (store bool, err error)) error {
	for range maxTries {
		entry, version, err := s.sessions.Entry(ctx, userID)
		if err != nil {
			return fmt.Errorf("read sessions of %s: %w", userID, err)
		}
		store, answer := fn(&entry)
		if !store {
			return answer
		}
		err = s.sessions.Save(ctx, userID, entry, version)
		if errors.Is(err, ErrStale) {
			continue
		}
		if err != nil {
			return fmt.Errorf("save sessions of %s: %w", userID, err)
		}
		return answer
	}
	return apperr.Unreachable(fmt.Errorf("save sessions of %s: lost %d times", userID, maxTries))
}

// startSession logs a user in whose password was right.
func (s *Service) startSession(ctx context.Context, u User, d authapi.Device) (authapi.Tokens, error) {
	now := instant(s.clock.Now())
	f := Family{
		ID:        s.ids.NewID(),
		CreatedAt: now,
		Device:    clipped(d),
		Current:   s.newSession(now),
	}
	var ended []string
	err := s.change(ctx, u.ID, func(e *Entry) (bool, error) {
		if e.Has(f.ID) {
			return false, nil // an earlier try was stored after all
		}
		var err error
		ended, err = e.LogIn(f, u.PasswordVersion, now)
		return err == nil, err
	})
	if err != nil {
		return authapi.Tokens{}, err
	}
	s.cache.End(ctx, ended...)
	return s.issue(u, f)
}

// GetKeys returns the public keys that tokens verify under.
func (s *Service) GetKeys(context.Context, rpc.Nothing) (token.KeySet, error) {
	keys, err := s.keys.Keyring()
	if err != nil {
		return token.KeySet{}, fmt.Errorf("get keys: %w", err)
	}
	return keys.Set(), nil
}

func (s *Service) newSession(now time.Time) Session {
	return Session{ID: s.ids.NewID(), StartedAt: now, ExpiresAt: instant(now.Add(s.sessionTTL))}
}
