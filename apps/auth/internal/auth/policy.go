package auth

import (
	_ "embed"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	minPassword = 8 // code points after NFKC
	maxPassword = 128

	minWord = 3 // bytes; shorter parts of an address or a password occur in too many passwords
)

var (
	//go:embed blocklist.txt
	blocklist string
	//go:embed stems.txt
	stems string
)

// The substitutions for letters that are common in passwords. A 1 or ! stands for i or
// for l.
var substitutions = []*strings.Replacer{
	strings.NewReplacer("1", "i", "!", "i", "|", "i", "4", "a", "@", "a", "8", "b", "(", "c", "3", "e", "€", "e",
		"6", "g", "9", "g", "0", "o", "5", "s", "$", "s", "7", "t", "+", "t", "2", "z"),
	strings.NewReplacer("1", "l", "!", "l", "|", "l", "4", "a", "@", "a", "8", "b", "(", "c", "3", "e", "€", "e",
		"6", "g", "9", "g", "0", "o", "5", "s", "$", "s", "7", "t", "+", "t", "2", "z"),
}

// productWords are words that users of this product are likely to choose.
var productWords = []string{"boxoffice", "ticketing", "tickets", "ticket", "event", "box", "office"}

// Policy decides which passwords are too easy to guess. It has no rules about the
// kinds of characters in a password.
type Policy struct{ common map[string]struct{} }

// NewPolicy returns the policy with the embedded lists: whole passwords, and stems, which
// are common in front of digits and signs.
func NewPolicy() *Policy {
	p := &Policy{common: map[string]struct{}{}}
	for line := range strings.Lines(blocklist + stems) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for word := range strings.FieldsSeq(line) {
			p.common[word] = struct{}{}
		}
	}
	return p
}

// IsWeak reports whether a normalised password is on the blocklist, repeats one character
// or a listed word, or contains words of the e-mail address or the product and no letters
// besides them. The same holds for a password that becomes one of these when digits and
// signs around it are removed, or when common substitutions for letters are undone: for
// P@ssw0rd1! as for password, and for Summer2024.
func (p *Policy) IsWeak(password, email string) bool {
	words := append(emailWords(email), productWords...)
	for variant := range variants(strings.ToLower(password)) {
		if p.isCommon(variant) || consistsOf(variant, words) {
			return true
		}
		for _, s := range substitutions {
			if undone := s.Replace(variant); undone != variant && (p.isCommon(undone) || consistsOf(undone, words)) {
				return true
			}
		}
	}
	return false
}

// variants returns the password with each number of digits and signs removed from its end,
// and the same without those at its beginning. Removing all of them at once would also
// remove substitutions for letters, as the last one of ch4ng3m32024. There are at most
// twice as many variants as code points.
func variants(password string) iter.Seq[string] {
	return func(yield func(string) bool) {
		first := max(0, strings.IndexFunc(password, unicode.IsLetter))
		last := strings.LastIndexFunc(password, unicode.IsLetter) // -1 if there is no letter
		for end := len(password); end > max(0, last); {
			if !yield(password[:end]) || first > 0 && !yield(password[first:end]) {
				return
			}
			_, size := utf8.DecodeLastRuneInString(password[:end])
			end -= size
		}
	}
}

// isCommon reports whether s, which is in lower case, is listed, or repeats a character or
// a listed word.
func (p *Policy) isCommon(s string) bool {
	if len(s) < minWord {
		return false
	}
	if _, ok := p.common[s]; ok {
		return true
	}
	if half := s[:len(s)/2]; half+half == s {
		if _, ok := p.common[half]; ok {
			return true
		}
	}
	first, _ := utf8.DecodeRuneInString(s)
	return strings.Trim(s, string(first)) == ""
}

// consistsOf reports whether s contains at least one of the words, and no letters besides
// them.
func consistsOf(s string, words []string) bool {
	rest := s
	for _, word := range words {
		rest = strings.ReplaceAll(rest, word, " ")
	}
	return rest != s && strings.IndexFunc(rest, unicode.IsLetter) < 0
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
