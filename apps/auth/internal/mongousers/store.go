// Package mongousers stores accounts in MongoDB.
//
// There are two collections: users, and addresses with documents {_id: <e-mail>,
// userId}. The _id makes each address unique. Creating an account inserts the address
// first and the user second, without a transaction. If the creator crashes between
// the two, the address is reserved for a user that does not exist. The next creator
// that asks for the address takes it over in two steps:
//
//  1. It inserts a tombstone under the id of the missing user. If the first creator
//     was only slow, its insert now fails, so that it cannot create a second account
//     for the address.
//  2. It assigns the address to its own user by compare-and-set on the owner.
package mongousers

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/shared/cas"
	"boxoffice/shared/mongodb"
)

// Store is an auth.Users in MongoDB. It is safe for concurrent use.
type Store struct {
	*mongodb.Client
	users     *mongodb.Collection
	addresses *mongodb.Collection
}

var _ auth.Users = (*Store)(nil)

// Config has the settings of Open.
type Config = mongodb.Config

// Open returns a store. The store connects to MongoDB at its first operation.
func Open(cfg Config) (*Store, error) {
	client, err := mongodb.Connect(cfg, "auth")
	if err != nil {
		return nil, err
	}
	return &Store{Client: client, users: client.Collection("users"), addresses: client.Collection("addresses")}, nil
}

// Add implements auth.Users.
func (s *Store) Add(ctx context.Context, u auth.User) (auth.User, error) {
	err := cas.Retry(ctx, func(ctx context.Context) error { return s.claim(ctx, u.Email, u.ID) }, auth.ErrStale)
	if err != nil {
		return auth.User{}, err
	}
	return s.insert(ctx, u)
}

// insert stores a user whose address has been claimed. It returns the stored user if
// an earlier attempt inserted it, and auth.ErrEmailTaken if another creator has
// written a tombstone under its id and taken the address over.
func (s *Store) insert(ctx context.Context, u auth.User) (auth.User, error) {
	_, err := s.users.InsertOne(ctx, toDocument(u))
	if err == nil {
		return u, nil
	}
	if !mongo.IsDuplicateKeyError(err) {
		return auth.User{}, mongodb.WrapError("insert user", err)
	}
	existing, err := s.User(ctx, u.ID)
	if errors.Is(err, auth.ErrNoUser) || err == nil && existing.Email != u.Email {
		return auth.User{}, auth.ErrEmailTaken
	}
	return existing, err
}

// claim assigns an address to a user. It returns auth.ErrEmailTaken if the address
// belongs to another user, and auth.ErrStale if the address changed owner during
// the call.
func (s *Store) claim(ctx context.Context, email, userID string) error {
	_, err := s.addresses.InsertOne(ctx, addressDocument{Email: email, UserID: userID})
	if err == nil {
		return nil
	}
	if !mongo.IsDuplicateKeyError(err) {
		return mongodb.WrapError("insert address", err)
	}
	owner, err := s.IDByEmail(ctx, email)
	switch {
	case errors.Is(err, auth.ErrNoUser):
		return auth.ErrStale
	case err != nil:
		return err
	case owner == userID:
		return nil
	}
	if err := s.insertTombstone(ctx, owner); err != nil {
		return err
	}
	res, err := s.addresses.UpdateOne(ctx,
		bson.D{{Key: "_id", Value: email}, {Key: "userId", Value: owner}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "userId", Value: userID}}}})
	if err != nil {
		return mongodb.WrapError("take over address", err)
	}
	if res.MatchedCount == 0 {
		return auth.ErrStale
	}
	return nil
}

// insertTombstone ensures that no user with that id exists or will ever be inserted.
// It returns auth.ErrEmailTaken if the user exists.
func (s *Store) insertTombstone(ctx context.Context, id string) error {
	_, err := s.User(ctx, id)
	if err == nil {
		return auth.ErrEmailTaken
	}
	if !errors.Is(err, auth.ErrNoUser) {
		return err
	}
	_, err = s.users.InsertOne(ctx, tombstoneDocument{ID: id, Tombstone: true})
	if err == nil {
		return nil
	}
	if !mongo.IsDuplicateKeyError(err) {
		return mongodb.WrapError("insert tombstone", err)
	}
	// Another process inserted the user or the tombstone in the meantime.
	if _, err = s.User(ctx, id); err == nil {
		return auth.ErrEmailTaken
	}
	if errors.Is(err, auth.ErrNoUser) {
		return nil
	}
	return err
}

// IDByEmail implements auth.Users.
func (s *Store) IDByEmail(ctx context.Context, email string) (string, error) {
	var d addressDocument
	err := s.addresses.FindOne(ctx, byID(email)).Decode(&d)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return "", auth.ErrNoUser
	}
	if err != nil {
		return "", mongodb.WrapError("find address", err)
	}
	return d.UserID, nil
}

// User implements auth.Users.
func (s *Store) User(ctx context.Context, id string) (auth.User, error) {
	var d userDocument
	err := s.users.FindOne(ctx, byID(id)).Decode(&d)
	if errors.Is(err, mongo.ErrNoDocuments) || err == nil && d.Tombstone {
		return auth.User{}, auth.ErrNoUser
	}
	if err != nil {
		return auth.User{}, mongodb.WrapError("find user", err)
	}
	return fromDocument(d), nil
}

// Rehash implements auth.Users.
func (s *Store) Rehash(ctx context.Context, id, from, to string) error {
	_, err := s.users.UpdateOne(ctx,
		bson.D{{Key: "_id", Value: id}, {Key: "passwordHash", Value: from}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "passwordHash", Value: to}}}})
	if err != nil {
		return mongodb.WrapError("rehash password", err)
	}
	return nil
}

func byID(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }
