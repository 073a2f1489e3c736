package mongousers

import (
	"time"

	"boxoffice/apps/auth/internal/auth"
)

// addressDocument assigns an e-mail address to a user.
type addressDocument struct {
	Email  string `bson:"_id"`
	UserID string `bson:"userId"`
}

// userDocument is a user. If Tombstone is set, it is a tombstone: no user with this id
// exists or will ever exist.
type userDocument struct {
	ID              string    `bson:"_id"`
	Tombstone       bool      `bson:"void,omitempty"`
	Email           string    `bson:"email"`
	Name            string    `bson:"name"`
	Role            string    `bson:"role"`
	Active          bool      `bson:"active"`
	PasswordHash    string    `bson:"passwordHash"`
	PasswordVersion int64     `bson:"passwordVersion"`
	Version         int64     `bson:"version"`
	CreatedAt       time.Time `bson:"createdAt"`
	UpdatedAt       time.Time `bson:"updatedAt"`
}

// tombstoneDocument is the stored form of a tombstone. It has none of a user's fields.
type tombstoneDocument struct {
	ID        string `bson:"_id"`
	Tombstone bool   `bson:"void"`
}

func toDocument(u auth.User) userDocument {
	return userDocument{
		ID: u.ID, Email: u.Email, Name: u.Name, Role: string(u.Role), Active: u.Active,
		PasswordHash: u.PasswordHash, PasswordVersion: u.PasswordVersion, Version: u.Version,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
}

func fromDocument(d userDocument) auth.User {
	return auth.User{
		ID: d.ID, Email: d.Email, Name: d.Name, Role: auth.Role(d.Role), Active: d.Active,
		PasswordHash: d.PasswordHash, PasswordVersion: d.PasswordVersion, Version: d.Version,
		CreatedAt: d.CreatedAt.UTC(), UpdatedAt: d.UpdatedAt.UTC(),
	}
}
