package config

import "log/slog"

const redacted = "[redacted]"

// Secret is a text that nothing prints: not fmt, not JSON, not slog.
type Secret struct{ value string }

// NewSecret returns a secret of that value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the value, for handing it to what needs it.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.value == "" }

func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// GoString keeps %#v from showing the field.
func (s Secret) GoString() string { return s.String() }

// MarshalText keeps every encoder from showing the field.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes the value.
func (s *Secret) UnmarshalText(text []byte) error {
	s.value = string(text)
	return nil
}

// LogValue keeps slog from showing the field.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
