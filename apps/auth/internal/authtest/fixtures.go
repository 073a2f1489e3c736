package authtest

import (
	"reflect"
	"testing"
	"time"

	"boxoffice/apps/auth/internal/auth"
	"boxoffice/shared/contract/authapi"
)

// Epoch is a time that stores keep without loss, because it is in whole milliseconds.
var Epoch = time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC)

// NewUser returns a user in which every field is set.
func NewUser(id, email string) auth.User {
	return auth.User{
		ID: id, Email: email, Name: "Ann Ünïcode", Role: auth.RoleAdmin, Active: true,
		PasswordHash: "$argon2id$...", PasswordVersion: 3, Version: 7,
		CreatedAt: Epoch, UpdatedAt: Epoch.Add(time.Hour),
	}
}

// NewUserSessions returns a record with a family for each id, in which every field
// is set. The current session of family f1 is f1-1, and it replaced f1-0.
func NewUserSessions(familyIDs ...string) auth.UserSessions {
	us := auth.UserSessions{PasswordVersion: 4}
	for i, id := range familyIDs {
		at := Epoch.Add(time.Duration(i) * time.Minute)
		us.Families = append(us.Families, auth.Family{
			ID: id, CreatedAt: at, Previous: id + "-0",
			Device:  authapi.Device{Address: "192.0.2.7", UserAgent: `curl/8 "quoted"`},
			Current: auth.Session{ID: id + "-1", StartedAt: at.Add(time.Second), ExpiresAt: at.Add(time.Hour)},
		})
	}
	return us
}

// requireAllFieldsSet fails the test if v or a value in it is zero. A suite that
// left a field unset would not notice an adapter that does not store it.
func requireAllFieldsSet(t *testing.T, v any) {
	t.Helper()
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch {
		case v.IsZero():
			t.Fatalf("the suite does not set %s", path)
		case v.Kind() == reflect.Slice:
			walk(path, v.Index(0))
		case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]():
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		}
	}
	walk(reflect.TypeOf(v).Name(), reflect.ValueOf(v))
}

// isAbout reports whether got is at most want and less than ten seconds below it. The
// clock of a server keeps running during the test.
func isAbout(got, want time.Duration) bool { return got <= want && got > want-10*time.Second }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
