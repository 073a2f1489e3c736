// Package validation checks the fields of a request and collects their problems, so that
// one error names every invalid field.
package validation

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"boxoffice/shared/apperr"
)

// MaxID is the maximum length of an id.
const MaxID = 64

// Problems is a list of invalid fields. The zero value is an empty list.
//
// A message completes a sentence that begins with the name of the field. It says what to
// send instead, for example "must be at least 1".
type Problems []apperr.Field

// Add adds a problem. field is the dotted path of the field, and code is a stable code
// that programs compare. The message is formatted as by fmt.Sprintf.
func (p *Problems) Add(field, code, format string, args ...any) {
	*p = append(*p, apperr.Field{Field: field, Code: code, Message: fmt.Sprintf(format, args...)})
}

// Err returns an *apperr.Error of code Invalid with the problems as its fields, or nil if
// there are no problems.
func (p *Problems) Err() error {
	if len(*p) == 0 {
		return nil
	}
	return apperr.InvalidFields(*p...)
}

// MaxLength adds a problem if s is longer than limit code points.
func (p *Problems) MaxLength(field, s string, limit int) {
	if n := utf8.RuneCountInString(s); n > limit {
		p.Add(field, "too_long", "must be at most %d characters long, but is %d", limit, n)
	}
}

// Range adds a problem unless least <= n <= most.
func (p *Problems) Range(field string, n, least, most int64) {
	switch {
	case n < least:
		p.Add(field, "too_small", "must be at least %d", least)
	case n > most:
		p.Add(field, "too_large", "must be at most %d", most)
	}
}

// ID adds a problem unless id is a valid id, as IsID defines it.
func (p *Problems) ID(field, id string) {
	switch {
	case id == "":
		p.Add(field, "required", "is required")
	case !IsID(id):
		p.Add(field, "invalid", "must be 1 to %d characters long and contain only A-Z, a-z, 0-9, _ and -", MaxID)
	}
}

// IsID reports whether s is a valid id: 1 to MaxID characters of A-Z, a-z, 0-9, _
// and -.
func IsID(s string) bool { return len(s) <= MaxID && HasIDCharacters(s) }

// HasIDCharacters reports whether s is not empty and contains only the characters that
// IsID allows. The length of s is not limited.
func HasIDCharacters(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}) < 0
}
