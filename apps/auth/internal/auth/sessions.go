package auth

import (
	"cmp"
	"slices"
	"time"
	"unicode/utf8"

	"boxoffice/shared/contract"
	"boxoffice/shared/contract/authapi"
)

const (
	// MaxFamilyAge is the longest lifetime of a family, however often it is refreshed.
	MaxFamilyAge = 30 * 24 * time.Hour
	// UserSessionsTTL is how long a record is kept after its last update. No family or
	// access token of the record is valid for longer.
	UserSessionsTTL = MaxFamilyAge + MaxAccessTTL
	// MaxAccessTTL is the longest lifetime of an access token that may be configured.
	MaxAccessTTL = 24 * time.Hour

	maxFamilies = 10 // of one user
	// rotationGrace is how long after a rotation the replaced refresh token returns the
	// successor again.
	rotationGrace = 10 * time.Second

	maxAddress = 64 // bytes of a client's address
)

// UserSessions is the record of one user's families. It is stored as a whole.
type UserSessions struct {
	// PasswordVersion is the version of the password with which all families were started.
	PasswordVersion int64
	Families        []Family
}

// Family is a log-in and its refreshes.
type Family struct {
	ID        string
	CreatedAt time.Time
	Device    authapi.Device
	Current   Session
	Previous  string // id of the session that Current replaced; empty before the first refresh
}

// Session is the state behind one pair of an access token and a refresh token. Each
// refresh starts a new one.
type Session struct {
	ID        string
	StartedAt time.Time
	ExpiresAt time.Time
}

// clipped returns d with its fields cut to the lengths that are stored. Clients can
// send longer values.
func clipped(d authapi.Device) authapi.Device {
	return authapi.Device{Address: clip(d.Address, maxAddress), UserAgent: clip(d.UserAgent, authapi.MaxUserAgent)}
}

// clip returns the longest prefix of s that has at most limit bytes and does not
// split a code point.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// Rotation is the outcome of a refresh.
type Rotation int

// Outcomes of a refresh.
const (
	NotRotated    Rotation = iota // the family does not exist or has expired
	Rotated                       // the session was replaced; Family.Current is its successor
	Replayed                      // the session was replaced within the grace period; Family.Current is its successor
	ReuseDetected                 // the session was replaced earlier; the family has ended
)

// AddFamily adds a family for a log-in whose password was verified when its version
// was passwordVersion. It first removes the families of older passwords, and those
// that expired at least MaxAccessTTL ago. If there are still too many, it removes
// expired families before live ones, and older families before newer ones. It returns
// the ids of the removed families' sessions. It returns ErrInvalidCredentials if the
// password has been changed since it was verified.
func (us *UserSessions) AddFamily(f Family, passwordVersion int64, now time.Time) (ended []string, err error) {
	if passwordVersion < us.PasswordVersion {
		return nil, ErrInvalidCredentials
	}
	if passwordVersion > us.PasswordVersion {
		ended = us.remove(func(Family) bool { return true })
		us.PasswordVersion = passwordVersion
	}
	// An expired family is kept while one of its access tokens may still be valid, so
	// that CheckSession can report the expiry to the client.
	ended = append(ended, us.remove(func(f Family) bool { return !now.Before(f.Current.ExpiresAt.Add(MaxAccessTTL)) })...)
	for len(us.Families) >= maxFamilies {
		evicted := slices.MinFunc(us.Families, func(a, b Family) int {
			if x, y := a.isExpired(now), b.isExpired(now); x != y {
				return compareTrueFirst(x)
			}
			return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
		})
		ended = append(ended, us.remove(func(f Family) bool { return f.ID == evicted.ID })...)
	}
	us.Families = append(us.Families, f)
	return ended, nil
}

// Rotate replaces session sessionID of a family with successor. It returns the family
// after the rotation or, if reuse was detected, as it was before it was removed.
// ended has the ids of the sessions that are no longer live.
func (us *UserSessions) Rotate(familyID, sessionID string, successor Session, now time.Time) (f Family, r Rotation, ended []string) {
	i := us.index(familyID)
	if i < 0 || us.Families[i].isExpired(now) {
		return Family{}, NotRotated, nil
	}
	family := &us.Families[i]
	switch {
	case family.Current.ID == sessionID:
		family.Previous = sessionID
		family.Current = successor
		if end := family.CreatedAt.Add(MaxFamilyAge); successor.ExpiresAt.After(end) {
			family.Current.ExpiresAt = end
		}
		return *family, Rotated, []string{sessionID}
	case family.Previous == sessionID && now.Sub(family.Current.StartedAt) <= rotationGrace:
		return *family, Replayed, []string{sessionID}
	}
	f = *family
	return f, ReuseDetected, us.remove(func(f Family) bool { return f.ID == familyID })
}

// EndFamily removes a family and returns the ids of its sessions. live reports
// whether the family existed and had not expired.
func (us *UserSessions) EndFamily(familyID string, now time.Time) (ended []string, live bool) {
	if i := us.index(familyID); i >= 0 {
		live = !us.Families[i].isExpired(now)
	}
	return us.remove(func(f Family) bool { return f.ID == familyID }), live
}

// FindSession returns the family whose current session is sessionID, and whether it
// has expired. ok is false if there is none.
func (us *UserSessions) FindSession(sessionID string, now time.Time) (f Family, expired, ok bool) {
	i := slices.IndexFunc(us.Families, func(f Family) bool { return f.Current.ID == sessionID })
	if i < 0 {
		return Family{}, false, false
	}
	return us.Families[i], us.Families[i].isExpired(now), true
}

// HasFamily reports whether the record contains a family, expired or not.
func (us *UserSessions) HasFamily(familyID string) bool { return us.index(familyID) >= 0 }

func (us *UserSessions) index(familyID string) int {
	return slices.IndexFunc(us.Families, func(f Family) bool { return f.ID == familyID })
}

// remove deletes the families that match and returns the ids of their sessions.
func (us *UserSessions) remove(match func(Family) bool) (sessionIDs []string) {
	us.Families = slices.DeleteFunc(us.Families, func(f Family) bool {
		if !match(f) {
			return false
		}
		sessionIDs = append(sessionIDs, f.Current.ID)
		return true
	})
	return sessionIDs
}

// Public returns the family's current session as the contract describes it.
func (f Family) Public(userID string) authapi.Session {
	return authapi.Session{ID: f.Current.ID, FamilyID: f.ID, UserID: userID, ExpiresAt: contract.At(f.Current.ExpiresAt)}
}

func (f Family) isExpired(now time.Time) bool { return !now.Before(f.Current.ExpiresAt) }

// compareTrueFirst compares a with !a in an order that puts true first: it returns -1
// if a is true and 1 if it is false.
func compareTrueFirst(a bool) int {
	if a {
		return -1
	}
	return 1
}
