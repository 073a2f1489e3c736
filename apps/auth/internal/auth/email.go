package auth

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	maxEmail  = 254 // code points
	maxLocal  = 64  // code points before the @
	maxDomain = 253 // bytes of the domain in ASCII (RFC 1035, section 2.3.4)
	maxLabel  = 63  // bytes of a label of the domain in ASCII

	// normalizeRounds limits how often NormalizeEmail applies its steps. Two rounds are
	// enough for every known input.
	normalizeRounds = 4
)

// NormalizeEmail returns the form of an e-mail address that identifies an account. It is
// idempotent, and it does not remove characters that validEmail rejects.
//
// The address is in NFKC, without surrounding space. The local part is case-folded (the
// Unicode Standard, section 3.13) rather than lower-cased, because lower-casing keeps
// apart spellings that differ only in case, such as those with ß and SS. A quoted local
// part loses quotes that it does not need (RFC 5321, section 4.1.2). The domain is in
// Unicode, as the Lookup profile of package idna maps it (UTS #46, non-transitional), so
// that the Unicode form and the Punycode form are the same account. The domain is not
// case-folded: straße.example and strasse.example are different domains.
func NormalizeEmail(s string) string {
	// Lower-casing can break the normal form, and normalising can introduce upper-case
	// letters, so the steps are repeated until the result is stable.
	for range normalizeRounds {
		next := normalizeOnce(s)
		if next == s {
			break
		}
		s = next
	}
	return s
}

func normalizeOnce(s string) string {
	s = strings.TrimSpace(norm.NFKC.String(s))
	local, domain, ok := cutLast(s, '@')
	// The idna package would remove some invisible characters, which are not allowed. It
	// needs quadratic time for long labels, which are not allowed either.
	if !ok || strings.ContainsFunc(s, isInvisible) || utf8.RuneCountInString(domain) > maxDomain {
		return foldCase(s)
	}
	return unquoteLocal(foldCase(local)) + "@" + normalizeDomain(domain)
}

func foldCase(s string) string { return norm.NFKC.String(cases.Fold().String(s)) }

// normalizeDomain returns a domain in lower case and in Unicode. It returns a domain that
// idna rejects in lower case only.
func normalizeDomain(domain string) string {
	lower := strings.ToLower(domain)
	if isPlainDomain(lower) {
		return lower
	}
	mapped, err := idna.Lookup.ToUnicode(lower)
	if err != nil {
		return lower
	}
	return norm.NFKC.String(mapped)
}

// isPlainDomain reports whether a domain in lower case has no internationalised label.
// Package idna would reject plain domains that exist, such as those with two hyphens in
// the third and fourth place.
func isPlainDomain(lower string) bool {
	return strings.IndexFunc(lower, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 &&
		!strings.HasPrefix(lower, "xn--") && !strings.Contains(lower, ".xn--")
}

// unquoteLocal returns the shortest spelling of a local part that is a quoted string. It
// returns any other local part unchanged.
func unquoteLocal(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	var content, quoted strings.Builder
	isEscaped := false
	for _, r := range s[1 : len(s)-1] {
		switch {
		case isEscaped:
			isEscaped = false
		case r == '\\':
			isEscaped = true
			continue
		case r == '"':
			return s // malformed
		}
		content.WriteRune(r)
		if r == '\\' || r == '"' {
			quoted.WriteByte('\\')
		}
		quoted.WriteRune(r)
	}
	switch {
	case isEscaped:
		return s // malformed
	case isDotAtom(content.String()):
		return content.String()
	}
	return `"` + quoted.String() + `"`
}

// isDotAtom reports whether s is a local part that needs no quotes (RFC 5321, section
// 4.1.2, and RFC 6531, section 3.3).
func isDotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, isNotAtomRune) {
			return false
		}
	}
	return true
}

func isNotAtomRune(r rune) bool {
	return r < utf8.RuneSelf && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
}

// validEmail reports whether a normalised address has the shape of an e-mail
// address. Only a delivered message proves that an address exists.
func validEmail(s string) bool {
	local, domain, ok := cutLast(s, '@')
	if !ok || local == "" || utf8.RuneCountInString(local) > maxLocal || strings.ContainsRune(local, '@') {
		return false
	}
	if strings.ContainsFunc(s, isNotAddressRune) {
		return false
	}
	return validDomain(domain)
}

func isNotAddressRune(r rune) bool {
	return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == utf8.RuneError || isInvisible(r)
}

// validDomain reports whether a normalised domain is a domain name of two labels or more.
func validDomain(domain string) bool {
	if utf8.RuneCountInString(domain) > maxDomain {
		return false
	}
	ascii := domain
	if !isPlainDomain(domain) {
		var err error
		if ascii, err = idna.Lookup.ToASCII(domain); err != nil {
			return false
		}
	}
	labels := strings.Split(ascii, ".")
	if len(ascii) > maxDomain || len(labels) < 2 {
		return false
	}
	for _, label := range labels {
		if !validLabel(label) {
			return false
		}
	}
	return true
}

// validLabel reports whether s can be one label of a domain name in ASCII and lower case.
func validLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }) < 0
}

// cutLast slices s around the last sep. Without sep it returns s, "", false.
func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
