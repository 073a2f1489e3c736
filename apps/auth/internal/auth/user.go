package auth

import (
	"fmt"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
)

// Role is what a user may do.
type Role string

// The roles.
const (
	RoleUser  Role = authapi.RoleUser
	RoleAdmin Role = authapi.RoleAdmin
)

// ParseRole returns the role of that name.
func ParseRole(s string) (Role, error) {
	switch r := Role(s); r {
	case RoleUser, RoleAdmin:
		return r, nil
	}
	return "", fmt.Errorf("unknown role %q", s)
}

// User is an account.
type User struct {
	ID              string
	Email           string // normalised
	Name            string
	Role            Role
	Active          bool
	PasswordHash    string // PHC
	PasswordVersion int64  // from 1, raised with each change of the password
	Version         int64  // from 1, raised with each change
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

// Public returns what others may see of the user.
func (u User) Public() authapi.User {
	return authapi.User{
		ID: u.ID, Email: u.Email, Name: u.Name, Role: string(u.Role), IsActive: u.Active,
		CreatedAt: contract.At(u.CreatedAt),
	}
}

// instant is a time as stores keep it.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
