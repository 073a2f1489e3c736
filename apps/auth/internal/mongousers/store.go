// Package mongousers keeps accounts in MongoDB.
//
// Two collections: users, and addresses {_id: <e-mail>, userId}, whose _id is
// what makes an address unique. The address is inserted first and its user
// second. A user who was never inserted, since his maker died between the two,
// holds his address only until somebody else asks for it: that one first inserts
// a void user under the missing id, so that a maker who only stalled fails, and
// then takes the address over by compare-and-set.
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
	users     *mongo.Collection
	addresses *mongo.Collection
}

var _ auth.Users = (*Store)(nil)

// Config is what Open needs.
type Config = mongodb.Config

// Open returns a store that connects when it is first used.
func Open(cfg Config) (*Store, error) {
	client, err := mongodb.Connect(cfg, "auth")
	if err != nil {
		return nil, err
	}
	return &Store{Client: client, users: client.DB.Collection("users"), addresses: client.DB.Collection("addresses")}, nil
}

// Add implements auth.Users.
func (s *Store) Add(ctx context.Context, u auth.User) (auth.User, error) {
	err := cas.Retry(ctx, func(ctx context.Context) error { return s.claim(ctx, u.Email, u.ID) }, auth.ErrStale)
	if err != nil {
		return auth.User{}, err
	}
	return s.insert(ctx, u)
}

// insert stores a user whose address is his. Once it is, only he and who voids
// him insert under his id.
func (s *Store) insert(ctx context.Context, u auth.User) (auth.User, error) {
	_, err := s.users.InsertOne(ctx, toDocument(u))
	if err == nil {
		return u, nil
	}
	if !mongo.IsDuplicateKeyError(err) {
		return auth.User{}, mongodb.WrapError("insert user", err)
	}
	there, err := s.User(ctx, u.ID)
	if errors.Is(err, auth.ErrNoUser) || err == nil && there.Email != u.Email {
		return auth.User{}, auth.ErrEmailTaken
	}
	return there, err
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
	if err := s.void(ctx, owner); err != nil {
		return err
	}
	res, err := s.addresses.UpdateOne(ctx,
		bson.D{{Key: "_id", Value: email}, {Key: "userId", Value: owner}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "userId", Value: userID}}}})
	if err != nil {
		return mongodb.WrapError("take address over", err)
	}
	if res.MatchedCount == 0 {
		return auth.ErrStale
	}
	return nil
}

// void makes sure that there is no user of that id and never will be, or returns
// auth.ErrEmailTaken when there is.
func (s *Store) void(ctx context.Context, id string) error {
	_, err := s.User(ctx, id)
	if err == nil {
		return auth.ErrEmailTaken
	}
	if !errors.Is(err, auth.ErrNoUser) {
		return err
	}
	_, err = s.users.InsertOne(ctx, voidDocument{ID: id, Void: true})
	if err == nil {
		return nil
	}
	if !mongo.IsDuplicateKeyError(err) {
		return mongodb.WrapError("void user", err)
	}
	// Somebody was faster: the user himself, or another who voids him.
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
	if errors.Is(err, mongo.ErrNoDocuments) || err == nil && d.Void {
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
		return mongodb.WrapError("rehash", err)
	}
	return nil
}

func byID(id string) bson.D { return bson.D{{Key: "_id", Value: id}} }
