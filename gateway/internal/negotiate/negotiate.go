// Package negotiate reads the request headers that describe media types, content codings
// and entity tags, as RFC 9110 defines them: lists (section 5.6.1), media ranges with
// parameters and weights (sections 12.4.2 and 12.5.1), media types (section 8.3.1) and
// entity tags (section 8.8.3).
//
// A header is passed as its field lines, which together form one list. Empty elements are
// ignored. Types, parameter names and codings are compared without regard to case. All
// functions take time that is linear in the length of the header.
package negotiate

import (
	"bytes"
	"errors"
	"strings"
)

// The limits of an Accept header, over all its field lines.
const (
	MaxAccept = 1 << 10 // bytes
	MaxRanges = 32
)

// ErrTooLarge is returned for an Accept header beyond MaxAccept or MaxRanges.
var ErrTooLarge = errors.New("the Accept header is too large")

// Accept is a parsed Accept header. The zero value, which is that of an absent or empty
// header, allows every media type.
type Accept struct{ ranges []mediaRange }

// mediaRange is an element of an Accept header.
type mediaRange struct {
	mainType, subtype string // subtype or both may be "*"
	isRefused         bool   // its weight is zero
	// isNarrow reports whether a parameter restricts the range to representations that no
	// response has.
	isNarrow bool
}

// ParseAccept parses an Accept header. An element that is not a media range matches
// nothing. A weight that is not a number is ignored. The range * means */*, as some
// clients send it. ParseAccept returns ErrTooLarge before it parses a header beyond the
// limits.
func ParseAccept(lines [][]byte) (Accept, error) {
	size, n := 0, 0
	for _, line := range lines {
		size += len(line)
	}
	if size > MaxAccept {
		return Accept{}, ErrTooLarge
	}
	var a Accept
	for _, line := range lines {
		for rest := string(line); rest != ""; {
			var element string
			element, rest = cut(rest, ',')
			if element == "" {
				continue
			}
			if n++; n > MaxRanges {
				return Accept{}, ErrTooLarge
			}
			a.ranges = append(a.ranges, parseRange(element))
		}
	}
	return a, nil
}

// parseRange parses an element of an Accept header.
func parseRange(element string) mediaRange {
	name, params := cut(element, ';')
	if name == "*" {
		name = "*/*"
	}
	var r mediaRange
	var ok bool
	if r.mainType, r.subtype, ok = cutType(name); !ok || r.mainType == "*" && r.subtype != "*" {
		return mediaRange{}
	}
	hasWeight := false
	for params != "" {
		var param string
		param, params = cut(params, ';')
		key, value, _ := strings.Cut(param, "=")
		switch key = strings.TrimSpace(key); {
		case strings.EqualFold(key, "q"):
			if !hasWeight {
				r.isRefused = isZero(strings.TrimSpace(value))
			}
			hasWeight = true
		case key != "" && !strings.EqualFold(key, "charset"):
			r.isNarrow = true
		}
	}
	return r
}

// isZero reports whether s is a decimal number with the value zero.
func isZero(s string) bool {
	whole, fraction, _ := strings.Cut(s, ".")
	return whole+fraction != "" && strings.Trim(whole+fraction, "0") == ""
}

// Allows reports whether the client accepts a response of the media type, such as
// application/json. Of the ranges that match, the most specific ones decide, and of these
// any with a weight above zero.
//
// A response has no parameters, and a charset has no meaning for its type (RFC 8259,
// section 11). Parameters are therefore ignored, so that a client that asks for one gets
// the type that it can read. Only a range that refuses a type with other parameters refuses
// nothing.
func (a Accept) Allows(mediaType string) bool {
	isAllowed, _ := a.find(mediaType)
	return isAllowed || len(a.ranges) == 0
}

// Refuses reports whether the header has a range that matches the media type, and does not
// accept it.
func (a Accept) Refuses(mediaType string) bool {
	isAllowed, isNamed := a.find(mediaType)
	return isNamed && !isAllowed
}

// find returns whether the ranges that match the media type allow it, and whether there
// are any.
func (a Accept) find(mediaType string) (isAllowed, isNamed bool) {
	mainType, subtype, _ := strings.Cut(mediaType, "/")
	best := 0
	for _, r := range a.ranges {
		specificity := r.specificity(mainType, subtype)
		if specificity == 0 || specificity < best || r.isRefused && r.isNarrow {
			continue
		}
		if specificity > best {
			best, isAllowed = specificity, false
		}
		isAllowed = isAllowed || !r.isRefused
	}
	return isAllowed, best > 0
}

// specificity returns 0 if the range does not match the media type, and otherwise 1 for
// */*, 2 for type/*, and 3 for the type itself.
func (r mediaRange) specificity(mainType, subtype string) int {
	switch {
	case r.mainType == "*":
		return 1
	case !strings.EqualFold(r.mainType, mainType):
		return 0
	case r.subtype == "*":
		return 2
	case strings.EqualFold(r.subtype, subtype):
		return 3
	}
	return 0
}

// IsMediaType reports whether the value of a Content-Type header is the media type want,
// whatever its parameters are.
func IsMediaType(value []byte, want string) bool {
	name, _ := cut(string(value), ';')
	return strings.EqualFold(name, want)
}

// IsIdentity reports whether a Content-Encoding header names no coding but identity, which
// means that the body is not encoded.
func IsIdentity(lines [][]byte) bool {
	for _, line := range lines {
		for coding := range bytes.SplitSeq(line, []byte(",")) {
			if coding = bytes.TrimSpace(coding); len(coding) > 0 && !bytes.EqualFold(coding, []byte("identity")) {
				return false
			}
		}
	}
	return true
}

// EntityTags parses the value of If-Match or If-None-Match. It returns the entity tags, or
// isAny if the value is *. ok is false if the value is malformed or has no element.
func EntityTags(lines [][]byte) (tags []string, isAny, ok bool) {
	list := strings.TrimLeft(string(bytes.Join(lines, []byte(","))), ", \t")
	if strings.TrimRight(list, ", \t") == "*" {
		return nil, true, true
	}
	for list != "" {
		tag, rest, ok := cutEntityTag(list)
		rest = strings.TrimLeft(rest, " \t")
		if !ok || rest != "" && rest[0] != ',' {
			return nil, false, false
		}
		tags = append(tags, tag)
		list = strings.TrimLeft(rest, ", \t")
	}
	return tags, false, len(tags) > 0
}

// cutEntityTag cuts an entity tag off the start of a list. It reports whether there is one.
func cutEntityTag(list string) (tag, rest string, ok bool) {
	opaque := strings.TrimPrefix(list, "W/")
	if opaque == "" || opaque[0] != '"' {
		return "", list, false
	}
	length := strings.IndexByte(opaque[1:], '"')
	if length < 0 {
		return "", list, false
	}
	for _, b := range []byte(opaque[1 : 1+length]) {
		if b < 0x21 || b == 0x7f {
			return "", list, false
		}
	}
	end := len(list) - len(opaque) + length + 2
	return list[:end], list[end:], true
}

// cut returns the text before the first separator that is not in a quoted string, without
// the space around it, and the text after the separator. If a quoted string does not end,
// it extends to the end of s.
func cut(s string, separator byte) (element, rest string) {
	isQuoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			isQuoted = !isQuoted
		case s[i] == '\\' && isQuoted:
			i++ // the next byte is escaped
		case s[i] == separator && !isQuoted:
			return strings.Trim(s[:i], " \t"), s[i+1:]
		}
	}
	return strings.Trim(s, " \t"), ""
}

// cutType splits a media type or media range without parameters. ok is false if it is
// malformed.
func cutType(s string) (mainType, subtype string, ok bool) {
	mainType, subtype, _ = strings.Cut(s, "/")
	return mainType, subtype, isToken(mainType) && isToken(subtype)
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}) < 0
}
