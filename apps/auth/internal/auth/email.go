package auth

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxEmail = 254 // code points
	maxLocal = 64  // code points before the @
	maxLabel = 63  // code points of a label of the domain
)

// NormalizeEmail returns the form of an e-mail address that identifies an account:
// NFKC, lower case, without surrounding space. It is idempotent.
func NormalizeEmail(s string) string {
	s = strings.TrimSpace(fold(s))
	// Lower-casing can break the normal form, and normalising can introduce upper-case
	// letters, so the two are repeated until the result is stable.
	for range 3 {
		next := strings.TrimSpace(fold(s))
		if next == s {
			break
		}
		s = next
	}
	return s
}

func fold(s string) string { return norm.NFKC.String(strings.ToLower(norm.NFKC.String(s))) }

// validEmail reports whether a normalised address has the shape of an e-mail
// address. Only a delivered message proves that an address exists.
func validEmail(s string) bool {
	local, domain, ok := cutLast(s, '@')
	if !ok || local == "" || utf8.RuneCountInString(local) > maxLocal || strings.ContainsRune(local, '@') {
		return false
	}
	if strings.IndexFunc(s, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == utf8.RuneError }) >= 0 {
		return false
	}
	labels := strings.Split(domain, ".")
	if len(labels) < 2 {
		return false
	}
	for _, label := range labels {
		if !validLabel(label) {
			return false
		}
	}
	return true
}

// validLabel reports whether s can be one label of a domain name.
func validLabel(s string) bool {
	if s == "" || len(s) > maxLabel*utf8.UTFMax || utf8.RuneCountInString(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, r := range s {
		if r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
			return false
		}
	}
	return true
}

// cutLast slices s around the last sep. Without sep it returns s, "", false.
func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
