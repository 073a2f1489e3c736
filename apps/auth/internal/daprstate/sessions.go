// Package daprstate implements auth's ports over the building blocks of its Dapr
// sidecar: session records in the state store, and signing keys in the secret store.
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

// Sessions is an auth.Sessions in a Dapr state store. The record of a user is a JSON
// document under sessions:<userId>. Its version is the ETag, and first-write-wins
// concurrency makes Save a compare-and-set.
type Sessions struct {
	dapr  client.Client
	store string
}

var _ auth.Sessions = (*Sessions)(nil)

// NewSessions returns the sessions in the named state store component.
func NewSessions(dapr client.Client, store string) *Sessions {
	return &Sessions{dapr: dapr, store: store}
}

func sessionsKey(userID string) string { return "sessions:" + userID }

// Load implements auth.Sessions.
func (s *Sessions) Load(ctx context.Context, userID string) (auth.UserSessions, string, error) {
	item, err := s.dapr.GetStateWithConsistency(ctx, s.store, sessionsKey(userID), nil, client.StateConsistencyStrong)
	if err != nil {
		return auth.UserSessions{}, "", wrapError("load sessions", err)
	}
	if len(item.Value) == 0 {
		return auth.UserSessions{}, "", nil
	}
	var d sessionsDocument
	if err := json.Unmarshal(item.Value, &d); err != nil {
		return auth.UserSessions{}, "", fmt.Errorf("load sessions: %w", err)
	}
	return fromDocument(d), item.Etag, nil
}

// Save implements auth.Sessions.
func (s *Sessions) Save(ctx context.Context, userID string, us auth.UserSessions, version string) error {
	data, err := json.Marshal(toDocument(us))
	if err != nil {
		return fmt.Errorf("save sessions: %w", err)
	}
	meta := map[string]string{
		"contentType":  "application/json", // otherwise MongoDB stores a string
		"ttlInSeconds": strconv.Itoa(int(auth.UserSessionsTTL.Seconds())),
	}
	err = s.dapr.SaveStateWithETag(ctx, s.store, sessionsKey(userID), data, version, meta,
		client.WithConcurrency(client.StateConcurrencyFirstWrite), client.WithConsistency(client.StateConsistencyStrong))
	if isStale(err) {
		return auth.ErrStale
	}
	if err != nil {
		return wrapError("save sessions", err)
	}
	return nil
}

// isStale reports whether err means that another write came first. On MongoDB, the
// sidecar writes with an upsert. If no document has the given ETag, the upsert tries to
// insert a second one with the same id and fails with a duplicate key (E11000). Dapr
// runtimes before 1.18 return that error unchanged.
func isStale(err error) bool {
	return err != nil && (status.Code(rootStatus(err)) == codes.Aborted || strings.Contains(err.Error(), "E11000"))
}

// rootStatus returns the gRPC status error that the SDK wrapped, or err if there is
// none.
func rootStatus(err error) error {
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		return s.GRPCStatus().Err()
	}
	return err
}

// wrapError converts an error of the sidecar to one that the use cases may return.
func wrapError(operation string, err error) error {
	err = fmt.Errorf("dapr: %s: %w", operation, err)
	switch status.Code(rootStatus(err)) {
	case codes.DeadlineExceeded:
		return apperr.TimedOut(err)
	case codes.Canceled:
		return fmt.Errorf("%w (%w)", context.Canceled, err)
	default:
		return apperr.Unreachable(err)
	}
}

// sessionsDocument is the stored form of auth.UserSessions.
type sessionsDocument struct {
	// PasswordVersion is a string because some stores convert every number to a
	// float.
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

func toDocument(us auth.UserSessions) sessionsDocument {
	d := sessionsDocument{PasswordVersion: us.PasswordVersion, Families: []familyDocument{}}
	for _, f := range us.Families {
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

func fromDocument(d sessionsDocument) auth.UserSessions {
	us := auth.UserSessions{PasswordVersion: d.PasswordVersion}
	for _, f := range d.Families {
		us.Families = append(us.Families, auth.Family{
			ID: f.ID, CreatedAt: f.CreatedAt.Time, Device: authapi.Device{Address: f.Address, UserAgent: f.UserAgent},
			Current:  auth.Session{ID: f.Current.ID, StartedAt: f.Current.StartedAt.Time, ExpiresAt: f.Current.ExpiresAt.Time},
			Previous: f.Previous,
		})
	}
	return us
}
