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

	minWord = 3 // shorter parts of an address are in too many passwords
)

//go:embed blocklist.txt
var blocklist string

// productWords are words that this product's users think of first.
var productWords = []string{"boxoffice", "ticketing", "tickets", "ticket", "event", "box", "office"}

// Policy says which passwords are too easy to guess. There are no rules on which
// characters a password is made of.
type Policy struct{ common map[string]struct{} }

// NewPolicy reads the blocklist.
func NewPolicy() *Policy {
	p := &Policy{common: map[string]struct{}{}}
	for line := range strings.Lines(blocklist) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			p.common[line] = struct{}{}
		}
	}
	return p
}

// Weak reports whether a password, in its normal form, is a common one, one
// character over and over, or made of the words of the address and the product
// and no letter besides.
func (p *Policy) Weak(password, email string) bool {
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

// emailWords are the address and its parts, the longest first.
func emailWords(email string) []string {
	local, domain, _ := cutLast(email, '@')
	words := []string{email, local, domain}
	notWord := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	words = append(words, strings.FieldsFunc(local, notWord)...)
	words = append(words, strings.FieldsFunc(domain, notWord)...)
	long := words[:0]
	for _, w := range words {
		if utf8.RuneCountInString(w) >= minWord {
			long = append(long, w)
		}
	}
	return long
}

// normalPassword is the form of a password that is measured and hashed.
func normalPassword(s string) string { return norm.NFKC.String(s) }
