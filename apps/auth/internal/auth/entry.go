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
	// MaxFamilyAge is how long a log-in lives however often it is refreshed.
	MaxFamilyAge = 30 * 24 * time.Hour
	// EntryTTL is how long an entry that nobody changes is kept: longer than
	// anything in it lives, by more than any access token does.
	EntryTTL = MaxFamilyAge + MaxAccessTTL
	// MaxAccessTTL bounds what may be configured as an access token's life.
	MaxAccessTTL = 24 * time.Hour

	maxFamilies = 10
	// replayFor is how long a replaced session's token gets the successor again.
	replayFor = 10 * time.Second

	maxAddress = 64 // bytes of a client's address
)

// Entry is all log-ins of a user.
type Entry struct {
	// PasswordVersion is the one that all families were logged in with.
	PasswordVersion int64
	Families        []Family
}

// Family is one log-in and its refreshes.
type Family struct {
	ID        string
	CreatedAt time.Time
	Device    authapi.Device
	Current   Session
	Previous  string // the id of the session that Current replaced; empty after the log-in
}

// Session is what one pair of tokens stands for.
type Session struct {
	ID        string
	StartedAt time.Time
	ExpiresAt time.Time
}

// clipped returns d with its fields cut to the lengths that are stored. Clients
// control both.
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

// Rotation is what became of a refresh.
type Rotation int

// The rotations.
const (
	Refused  Rotation = iota // no such session
	Rotated                  // replaced: Family.Current is the successor
	Replayed                 // already replaced a moment ago: Family.Current is the successor
	Stolen                   // a replaced session's token came too late: the family has ended
)

// LogIn adds a family whose password was verified at that version, and returns
// the ids of the sessions that ended thereby: those of an older password and,
// when there are too many, the oldest. It returns ErrInvalidCredentials when the
// password is an older one by now.
func (e *Entry) LogIn(f Family, passwordVersion int64, now time.Time) (ended []string, err error) {
	if passwordVersion < e.PasswordVersion {
		return nil, ErrInvalidCredentials
	}
	if passwordVersion > e.PasswordVersion {
		ended = e.drop(func(Family) bool { return true })
		e.PasswordVersion = passwordVersion
	}
	// One that has expired is kept for as long as an access token of it may ask,
	// who then hears that it expired. Only those make place first.
	ended = append(ended, e.drop(func(f Family) bool { return !now.Before(f.Current.ExpiresAt.Add(MaxAccessTTL)) })...)
	for len(e.Families) >= maxFamilies {
		victim := slices.MinFunc(e.Families, func(a, b Family) int {
			if x, y := a.expired(now), b.expired(now); x != y {
				return boolFirst(x)
			}
			return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
		})
		ended = append(ended, e.drop(func(f Family) bool { return f.ID == victim.ID })...)
	}
	e.Families = append(e.Families, f)
	return ended, nil
}

// Refresh replaces a family's session by a successor. The family is returned as
// it is after it; of a Stolen one, as it was. ended are the ids of the sessions
// that are over by it.
func (e *Entry) Refresh(familyID, sessionID string, successor Session, now time.Time) (f Family, r Rotation, ended []string) {
	i := e.index(familyID)
	if i < 0 || e.Families[i].expired(now) {
		return Family{}, Refused, nil
	}
	family := &e.Families[i]
	switch {
	case family.Current.ID == sessionID:
		family.Previous = sessionID
		family.Current = successor
		if end := family.CreatedAt.Add(MaxFamilyAge); successor.ExpiresAt.After(end) {
			family.Current.ExpiresAt = end
		}
		return *family, Rotated, []string{sessionID}
	case family.Previous == sessionID && now.Sub(family.Current.StartedAt) <= replayFor:
		return *family, Replayed, []string{sessionID}
	}
	f = *family
	return f, Stolen, e.drop(func(f Family) bool { return f.ID == familyID })
}

// End removes a family and returns the ids of the sessions that ended. live is
// false when there was none that lived.
func (e *Entry) End(familyID string, now time.Time) (ended []string, live bool) {
	if i := e.index(familyID); i >= 0 {
		live = !e.Families[i].expired(now)
	}
	return e.drop(func(f Family) bool { return f.ID == familyID }), live
}

// Find returns the family whose current session that is, and whether it has
// expired.
func (e *Entry) Find(sessionID string, now time.Time) (f Family, expired, ok bool) {
	i := slices.IndexFunc(e.Families, func(f Family) bool { return f.Current.ID == sessionID })
	if i < 0 {
		return Family{}, false, false
	}
	return e.Families[i], e.Families[i].expired(now), true
}

// Public returns what others may see of the family's current session.
func (f Family) Public(userID string) authapi.Session {
	return authapi.Session{ID: f.Current.ID, FamilyID: f.ID, UserID: userID, ExpiresAt: contract.At(f.Current.ExpiresAt)}
}

func (f Family) expired(now time.Time) bool { return !now.Before(f.Current.ExpiresAt) }

// Has reports whether a family is there.
func (e *Entry) Has(familyID string) bool { return e.index(familyID) >= 0 }

func (e *Entry) index(familyID string) int {
	return slices.IndexFunc(e.Families, func(f Family) bool { return f.ID == familyID })
}

// drop removes families and returns the ids of their sessions.
func (e *Entry) drop(which func(Family) bool) (sessionIDs []string) {
	e.Families = slices.DeleteFunc(e.Families, func(f Family) bool {
		if !which(f) {
			return false
		}
		sessionIDs = append(sessionIDs, f.Current.ID)
		return true
	})
	return sessionIDs
}

func boolFirst(first bool) int {
	if first {
		return -1
	}
	return 1
}
