package config

import "log/slog"

const redacted = "[redacted]"

// Secret is a string that is never printed. Package fmt, JSON encoders and slog show
// "[redacted]" instead, or nothing if the secret is empty.
type Secret struct{ value string }

// NewSecret returns a Secret with the given value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the value. Call it only where the secret is used.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.value == "" }

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// GoString implements fmt.GoStringer, for the verb %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText implements encoding.TextMarshaler, which JSON and most other encoders
// use.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText sets the value. It never returns an error.
func (s *Secret) UnmarshalText(text []byte) error {
	s.value = string(text)
	return nil
}

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
