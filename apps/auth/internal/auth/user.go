package auth

import (
	"fmt"
	"time"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
)

// Role determines what a user may do.
type Role string

// The roles.
const (
	RoleUser  Role = authapi.RoleUser
	RoleAdmin Role = authapi.RoleAdmin
)

// ParseRole returns the role named s, or an error if there is none.
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
	PasswordHash    string // in PHC string format
	PasswordVersion int64  // starts at 1; every change of the password raises it
	Version         int64  // starts at 1; every change of the account raises it
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

// Public returns the user as the contract describes it, without the password hash
// and the versions.
func (u User) Public() authapi.User {
	return authapi.User{
		ID: u.ID, Email: u.Email, Name: u.Name, Role: string(u.Role), IsActive: u.Active,
		CreatedAt: contract.At(u.CreatedAt),
	}
}

// instant returns t in UTC, truncated to milliseconds: the precision of the stores.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
