package auth

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"boxoffice/shared/cas"
	"boxoffice/shared/contract/authapi"
	"boxoffice/shared/rpc"
	"boxoffice/shared/token"
)

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

// updateSessions applies fn to a user's sessions and stores the result by
// compare-and-set. If another update comes first, fn runs again on the sessions as
// that update left them, so fn must depend on nothing else. fn reports whether
// there is something to store; its error is returned, after the sessions have been
// stored if it also reports true. After too many lost races updateSessions returns
// apperr.Overloaded.
func (s *Service) updateSessions(ctx context.Context, userID string, fn func(*Entry) (store bool, err error)) error {
	return cas.Retry(ctx, func(ctx context.Context) error {
		entry, version, err := s.sessions.Entry(ctx, userID)
		if err != nil {
			return fmt.Errorf("read sessions of %s: %w", userID, err)
		}
		store, result := fn(&entry)
		if !store {
			return result
		}
		if err := s.sessions.Save(ctx, userID, entry, version); err != nil {
			return fmt.Errorf("save sessions of %s: %w", userID, err)
		}
		return result
	}, ErrStale)
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
	err := s.updateSessions(ctx, u.ID, func(e *Entry) (bool, error) {
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
