// Package validation collects what is wrong with a request, so that a refusal
// lists every wrong field.
package validation

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"boxoffice/shared/apperr"
)

// MaxID is how long an id may be.
const MaxID = 64

// Problems is what is wrong with a request. The zero value is nothing.
type Problems []apperr.Field

// Add notes a problem: a field's dotted path, a stable code and a message.
func (p *Problems) Add(field, code, format string, args ...any) {
	*p = append(*p, apperr.Field{Field: field, Code: code, Message: fmt.Sprintf(format, args...)})
}

// Err returns nil when nothing is wrong, and else the refusal.
func (p *Problems) Err() error {
	if len(*p) == 0 {
		return nil
	}
	return apperr.InvalidFields(*p...)
}

// MaxLength wants a text of at most limit code points.
func (p *Problems) MaxLength(field, s string, limit int) {
	if n := utf8.RuneCountInString(s); n > limit {
		p.Add(field, "too_long", "has %d characters, at most %d are allowed", n, limit)
	}
}

// Range wants a number from least to most.
func (p *Problems) Range(field string, n, least, most int64) {
	switch {
	case n < least:
		p.Add(field, "too_small", "must be at least %d", least)
	case n > most:
		p.Add(field, "too_large", "must be at most %d", most)
	}
}

// ID wants an id.
func (p *Problems) ID(field, id string) {
	switch {
	case id == "":
		p.Add(field, "required", "is required")
	case !IsID(id):
		p.Add(field, "invalid", "must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -")
	}
}

// IsID reports whether s can be an id: 1-64 of A-Za-z0-9_-.
func IsID(s string) bool { return len(s) <= MaxID && IsName(s) }

// IsName reports whether s is made of an id's characters, at whatever length.
func IsName(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}) < 0
}
