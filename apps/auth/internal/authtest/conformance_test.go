package authtest_test

import (
	"fmt"
	"testing"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/apps/auth/internal/authtest"
)

func TestFakeUsersConform(t *testing.T) {
	authtest.UsersSuite{Open: func(*testing.T) auth.Users { return authtest.NewUsers() }}.Conform(t)
}

func TestFakeSessionsConform(t *testing.T) {
	n := 0
	authtest.SessionsSuite{
		Sessions:  authtest.NewSessions(),
		NewUserID: func() string { n++; return fmt.Sprint("u", n) },
	}.Conform(t)
}
