package event

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const (
	// maxWordLength limits the length of a word in code points. Longer words are cut, and
	// are then found by their beginning only.
	maxWordLength = 64
	// maxWords limits the different words of an event. Only a description can have more;
	// its later words are not found.
	maxWords = 400
)

// Field is the part of an event in which a search finds a word. A smaller Field is more
// important.
type Field int

// The fields that a search looks at, the most important first.
const (
	InName Field = iota
	InVenue
	InText // the category or the description
)

// Word is a normalized word of an event and the most important field that contains it.
type Word struct {
	Text string
	In   Field
}

// SearchWords returns the different words of an event, at most maxWords of them, in
// ascending order of their bytes. A deleted event has none.
func (e Event) SearchWords() []Word {
	if e.Status == Deleted {
		return nil
	}
	var words []Word
	seen := map[string]bool{}
	for _, field := range []struct {
		text string
		in   Field
	}{{e.Name, InName}, {e.Venue, InVenue}, {e.Category, InText}, {e.Description, InText}} {
		for _, text := range splitWords(field.text) {
			if !seen[text] && len(words) < maxWords {
				seen[text] = true
				words = append(words, Word{text, field.in})
			}
		}
	}
	slices.SortFunc(words, func(a, b Word) int { return strings.Compare(a.Text, b.Text) })
	return words
}

// splitWords returns the normalized words of s in their order. A word is a sequence of
// letters, digits and spacing marks; everything else separates words. Words that differ
// only in case, accents or compatibility forms are equal. Scripts that do not separate
// words with spaces, such as Chinese, have few and long words.
//
// The steps are: compatibility decomposition (Unicode Standard Annex 15, form NFKD),
// removal of marks and of invisible format characters, case folding, and replaceLetter.
func splitWords(s string) []string {
	s = strings.Map(normalizeRune, norm.NFKD.String(s))
	var words []string
	var word strings.Builder
	length := 0
	end := func() {
		if length > 0 {
			words = append(words, word.String())
		}
		word.Reset()
		length = 0
	}
	for _, r := range s {
		if !isWordRune(r) {
			end()
			continue
		}
		for _, r := range replaceLetter(r) {
			if length < maxWordLength {
				word.WriteRune(r)
				length++
			}
		}
	}
	end()
	return words
}

// normalizeRune returns a decomposed rune without its case. It returns -1 for the runes
// that normalization removes: accents and other nonspacing marks, enclosing marks, and
// format characters such as the soft hyphen.
func normalizeRune(r rune) rune {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) {
		return -1
	}
	// Some letters have several lower-case forms of one upper-case form: the two Greek
	// sigmas, or the i and the dotless i.
	return unicode.ToLower(unicode.ToUpper(r))
}

// isWordRune reports whether r belongs to a word. The modifier letters that look like an
// apostrophe separate words, as an apostrophe does.
func isWordRune(r rune) bool {
	if r == 'ʻ' || r == 'ʼ' {
		return false
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.Mc, r)
}

// replaceLetter returns the ASCII form of a lower-case Latin letter that has no
// decomposition in Unicode, and any other rune as it is.
func replaceLetter(r rune) string {
	switch r {
	case 'æ':
		return "ae"
	case 'ß': // also the capital one
		return "ss"
	case 'œ':
		return "oe"
	case 'þ':
		return "th"
	case 'ø':
		return "o"
	case 'đ', 'ð':
		return "d"
	case 'ł':
		return "l"
	case 'ħ':
		return "h"
	case 'ŋ':
		return "n"
	case 'ŧ':
		return "t"
	}
	return string(r)
}
