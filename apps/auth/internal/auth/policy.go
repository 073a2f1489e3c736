package auth

import (
	_ "embed"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	minPassword = 8 // code points after NFKC
	maxPassword = 128

	minWord = 3 // code points; shorter parts of an address occur in too many passwords
)

//go:embed blocklist.txt
var blocklist string

// productWords are words that users of this product are likely to choose.
var productWords = []string{"boxoffice", "ticketing", "tickets", "ticket", "event", "box", "office"}

// Policy decides which passwords are too easy to guess. It has no rules about the
// kinds of characters in a password.
type Policy struct{ common map[string]struct{} }

// NewPolicy returns the policy with the embedded blocklist.
func NewPolicy() *Policy {
	p := &Policy{common: map[string]struct{}{}}
	for line := range strings.Lines(blocklist) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			p.common[line] = struct{}{}
		}
	}
	return p
}

// IsWeak reports whether a normalised password is on the blocklist, repeats one
// character, or contains words of the e-mail address or the product and no letters
// besides them.
func (p *Policy) IsWeak(password, email string) bool {
	password = strings.ToLower(password)
	if _, ok := p.common[password]; ok {
		return true
	}
	if first, _ := utf8.DecodeRuneInString(password); strings.Trim(password, string(first)) == "" {
		return true
	}
	rest := password
	for _, word := range append(emailWords(email), productWords...) {
		rest = strings.ReplaceAll(rest, word, " ")
	}
	return rest != password && strings.IndexFunc(rest, unicode.IsLetter) < 0
}

// emailWords returns the address and its parts. Each part comes before the parts that
// it contains. Parts shorter than minWord are omitted.
func emailWords(email string) []string {
	local, domain, _ := cutLast(email, '@')
	words := []string{email, local, domain}
	isSeparator := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	words = append(words, strings.FieldsFunc(local, isSeparator)...)
	words = append(words, strings.FieldsFunc(domain, isSeparator)...)
	long := words[:0]
	for _, w := range words {
		if utf8.RuneCountInString(w) >= minWord {
			long = append(long, w)
		}
	}
	return long
}

// normalPassword returns the NFKC form of a password. Passwords are measured and hashed
// in this form, because the same password typed on another keyboard may have other code
// points.
func normalPassword(s string) string { return norm.NFKC.String(s) }
