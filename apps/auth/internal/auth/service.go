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

// Config has the dependencies and settings of a Service. All fields are required.
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
	// Pseudonyms stand for e-mail addresses and client addresses in logs and counters.
	Pseudonyms *Pseudonyms
	Log        *slog.Logger

	AccessTTL  time.Duration // lifetime of an access token; at most MaxAccessTTL
	SessionTTL time.Duration // lifetime of a session from the log-in or the last refresh; at most MaxFamilyAge
}

// Service implements the use cases. It is safe for concurrent use.
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
	pseudonyms *Pseudonyms
	log        *slog.Logger
	accessTTL  time.Duration
	sessionTTL time.Duration
	logIns     *keyedSemaphore // by account and address
}

// New returns a Service. It returns an error if AccessTTL or SessionTTL is out of
// range.
func New(cfg Config) (*Service, error) {
	if cfg.AccessTTL < time.Second || cfg.AccessTTL > MaxAccessTTL {
		return nil, fmt.Errorf("auth: the lifetime of access tokens must be between 1s and %s, not %s", MaxAccessTTL, cfg.AccessTTL)
	}
	if cfg.SessionTTL < time.Second || cfg.SessionTTL > MaxFamilyAge {
		return nil, fmt.Errorf("auth: the lifetime of sessions must be between 1s and %s, not %s", MaxFamilyAge, cfg.SessionTTL)
	}
	return &Service{
		users: cfg.Users, sessions: cfg.Sessions, attempts: cfg.Attempts, cache: cfg.Cache,
		locker: cfg.Locker, clock: cfg.Clock, ids: cfg.IDs, keys: cfg.Keys,
		hasher: cfg.Hasher, policy: cfg.Policy, pseudonyms: cfg.Pseudonyms, log: cfg.Log,
		accessTTL: cfg.AccessTTL, sessionTTL: cfg.SessionTTL,
		logIns: newKeyedSemaphore(),
	}, nil
}

// updateSessions applies fn to a user's sessions and stores the result by
// compare-and-set. If another update is stored first, fn runs again on the updated
// sessions. fn reports whether to store the sessions. updateSessions returns the
// error of fn; if fn also reported true, the sessions have been stored. After too many
// lost races updateSessions returns apperr.Overloaded.
func (s *Service) updateSessions(ctx context.Context, userID string, fn func(*UserSessions) (store bool, err error)) error {
	return cas.Retry(ctx, func(ctx context.Context) error {
		us, version, err := s.sessions.Load(ctx, userID)
		if err != nil {
			return fmt.Errorf("load sessions of %s: %w", userID, err)
		}
		store, result := fn(&us)
		if !store {
			return result
		}
		if err := s.sessions.Save(ctx, userID, us, version); err != nil {
			return fmt.Errorf("save sessions of %s: %w", userID, err)
		}
		return result
	}, ErrStale)
}

// startSession adds a family for a user whose password was verified, and returns
// the tokens of its first session.
func (s *Service) startSession(ctx context.Context, u User, device authapi.Device) (authapi.Tokens, error) {
	now := instant(s.clock.Now())
	f := Family{
		ID:        s.ids.NewID(),
		CreatedAt: now,
		Device:    clipped(device),
		Current:   s.newSession(now),
	}
	var ended []string
	err := s.updateSessions(ctx, u.ID, func(us *UserSessions) (bool, error) {
		if us.HasFamily(f.ID) {
			return false, nil // an earlier attempt was stored although it was reported as stale
		}
		var err error
		ended, err = us.AddFamily(f, u.PasswordVersion, now)
		return err == nil, err
	})
	if err != nil {
		return authapi.Tokens{}, err
	}
	s.cache.End(ctx, ended...)
	return s.issue(u, f, now)
}

// GetKeys returns the public keys that verify tokens; see authapi.GetKeys.
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
