package daprstate

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/dapr/go-sdk/client"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/shared/apperr"
)

// Keys is an auth.Keys over a Dapr secret store. It has no keys until Load succeeds.
type Keys struct {
	dapr   client.Client
	store  string
	secret string
	ring   atomic.Pointer[auth.Keyring]
}

var _ auth.Keys = (*Keys)(nil)

// NewKeys returns the keys in a secret of the named secret store. The secret must be in
// the format that auth.ParseKeyring reads.
func NewKeys(dapr client.Client, store, secret string) *Keys {
	return &Keys{dapr: dapr, store: store, secret: secret}
}

// Load reads the keys from the secret store.
func (k *Keys) Load(ctx context.Context) error {
	values, err := k.dapr.GetSecret(ctx, k.store, k.secret, nil)
	if err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	ring, err := auth.ParseKeyring([]byte(values[k.secret]))
	if err != nil {
		return fmt.Errorf("secret %s: %w", k.secret, err)
	}
	k.ring.Store(ring)
	return nil
}

// Keyring implements auth.Keys. It returns apperr.Unreachable until Load succeeds.
func (k *Keys) Keyring() (*auth.Keyring, error) {
	if ring := k.ring.Load(); ring != nil {
		return ring, nil
	}
	return nil, apperr.Unreachable(errors.New("the signing keys are not loaded yet"))
}
