package auth

import (
	"unicode"
	"unicode/utf8"
)

// brailleBlank is a symbol that is drawn as a space.
const brailleBlank = '\u2800'

// isInvisible reports whether r is a format character (General_Category Cf) or has the
// property Default_Ignorable_Code_Point. Two texts that differ only in such code points
// look the same. The tables are those of package unicode; the Unicode Standard derives
// the property from Other_Default_Ignorable_Code_Point, Variation_Selector and Cf.
// Controls of the writing direction are format characters.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// isUnsafe reports whether r must not occur in a name: it is invisible, a control
// character, a line or paragraph separator, or for private use, or it stands for a
// damaged one.
func isUnsafe(r rune) bool {
	return isInvisible(r) || r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Co)
}

// isVisible reports whether r alone is enough to see that there is text.
func isVisible(r rune) bool {
	return r != brailleBlank && unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S)
}
