// Package daprstate is auth's ports over its own sidecar: sessions in the state
// store, locks, and the signing keys from the secret store.
package daprstate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/dapr/go-sdk/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
)

// Sessions is an auth.Sessions in a Dapr state store: one JSON document for each
// user under sessions:<userId>, changed by first-write-wins on its ETag.
type Sessions struct {
	dapr  client.Client
	store string
}

var _ auth.Sessions = (*Sessions)(nil)

// NewSessions returns the sessions in the state store of that name.
func NewSessions(dapr client.Client, store string) *Sessions {
	return &Sessions{dapr: dapr, store: store}
}

func sessionsKey(userID string) string { return "sessions:" + userID }

// Entry implements auth.Sessions.
func (s *Sessions) Entry(ctx context.Context, userID string) (auth.Entry, string, error) {
	item, err := s.dapr.GetStateWithConsistency(ctx, s.store, sessionsKey(userID), nil, client.StateConsistencyStrong)
	if err != nil {
		return auth.Entry{}, "", failure("read sessions", err)
	}
	if len(item.Value) == 0 {
		return auth.Entry{}, "", nil
	}
	var d entryDocument
	if err := json.Unmarshal(item.Value, &d); err != nil {
		return auth.Entry{}, "", fmt.Errorf("read sessions: %w", err)
	}
	return fromDocument(d), item.Etag, nil
}

// Save implements auth.Sessions.
func (s *Sessions) Save(ctx context.Context, userID string, e auth.Entry, version string) error {
	data, err := json.Marshal(toDocument(e))
	if err != nil {
		return fmt.Errorf("save sessions: %w", err)
	}
	meta := map[string]string{
		"contentType":  "application/json", // else MongoDB gets a text
		"ttlInSeconds": strconv.Itoa(int(auth.EntryTTL.Seconds())),
	}
	err = s.dapr.SaveStateWithETag(ctx, s.store, sessionsKey(userID), data, version, meta,
		client.WithConcurrency(client.StateConcurrencyFirstWrite), client.WithConsistency(client.StateConsistencyStrong))
	if lost(err) {
		return auth.ErrStale
	}
	if err != nil {
		return failure("save sessions", err)
	}
	return nil
}

// lost reports whether another write came first. A first write that lost on
// MongoDB meets its own upsert there, which runtimes before 1.18 pass on as the
// duplicate key that it is.
func lost(err error) bool {
	return err != nil && (status.Code(rootStatus(err)) == codes.Aborted || strings.Contains(err.Error(), "E11000"))
}

// rootStatus finds gRPC's error behind what the SDK wraps around it.
func rootStatus(err error) error {
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		return s.GRPCStatus().Err()
	}
	return err
}

// failure is what the service makes of an error of the sidecar's.
func failure(what string, err error) error {
	err = fmt.Errorf("dapr: %s: %w", what, err)
	switch status.Code(rootStatus(err)) {
	case codes.DeadlineExceeded:
		return apperr.TimedOut(err)
	case codes.Canceled:
		return fmt.Errorf("%w (%w)", context.Canceled, err)
	default:
		return apperr.Unreachable(err)
	}
}

// entryDocument is auth.Entry as it is stored.
type entryDocument struct {
	// PasswordVersion is a text since some stores make every number a float.
	PasswordVersion int64            `json:"passwordVersion,string"`
	Families        []familyDocument `json:"families"`
}

type familyDocument struct {
	ID        string          `json:"id"`
	CreatedAt contract.Time   `json:"createdAt"`
	Address   string          `json:"address"`
	UserAgent string          `json:"userAgent"`
	Current   sessionDocument `json:"current"`
	Previous  string          `json:"previous,omitempty"`
}

type sessionDocument struct {
	ID        string        `json:"id"`
	StartedAt contract.Time `json:"startedAt"`
	ExpiresAt contract.Time `json:"expiresAt"`
}

func toDocument(e auth.Entry) entryDocument {
	d := entryDocument{PasswordVersion: e.PasswordVersion, Families: []familyDocument{}}
	for _, f := range e.Families {
		d.Families = append(d.Families, familyDocument{
			ID: f.ID, CreatedAt: contract.At(f.CreatedAt), Address: f.Device.Address, UserAgent: f.Device.UserAgent,
			Current: sessionDocument{
				ID: f.Current.ID, StartedAt: contract.At(f.Current.StartedAt), ExpiresAt: contract.At(f.Current.ExpiresAt),
			},
			Previous: f.Previous,
		})
	}
	return d
}

func fromDocument(d entryDocument) auth.Entry {
	e := auth.Entry{PasswordVersion: d.PasswordVersion}
	for _, f := range d.Families {
		e.Families = append(e.Families, auth.Family{
			ID: f.ID, CreatedAt: f.CreatedAt.Time, Device: authapi.Device{Address: f.Address, UserAgent: f.UserAgent},
			Current:  auth.Session{ID: f.Current.ID, StartedAt: f.Current.StartedAt.Time, ExpiresAt: f.Current.ExpiresAt.Time},
			Previous: f.Previous,
		})
	}
	return e
}
