// Package config reads the configuration of a program from environment variables into
// a struct:
//
//	type settings struct {
//		MongoURI config.Secret  `env:"MONGO_URI,required"`
//		Sweep    time.Duration  `env:"SWEEP_INTERVAL" default:"30s" min:"1s"`
//		AppToken config.Secret  `env:"APP_API_TOKEN,required" min:"16"`
//		Proxies  []netip.Prefix `env:"TRUSTED_PROXIES"` // comma-separated
//	}
//
// The tag env names the variable of a field. An empty variable counts as unset. Load
// then uses the tag default. If there is no default and the variable is required, Load
// returns an error.
//
// A field is a string, an int, an int64, a float64, a bool, a time.Duration, an
// encoding.TextUnmarshaler, or a slice of these. A field without the tag env is
// ignored, unless it is a struct with such fields.
//
// The tag min is the minimum value of a number or duration, the minimum length in
// bytes of a string or Secret, and the minimum number of entries of a slice. It does
// not apply if the variable is unset and has no default.
package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Load returns a C that is filled from getenv. C must be a struct. The error lists
// every variable that is missing or invalid, one per line. It never contains the
// value of a Secret.
func Load[C any](getenv func(string) string) (C, error) {
	var c C
	err := fill(reflect.ValueOf(&c).Elem(), getenv)
	if err != nil {
		err = fmt.Errorf("configuration: %w", err)
	}
	return c, err
}

// fill sets the fields of the struct v.
func fill(v reflect.Value, getenv func(string) string) error {
	var errs []error
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		tag, ok := field.Tag.Lookup("env")
		if !ok {
			if value.Kind() == reflect.Struct && field.IsExported() {
				errs = append(errs, fill(value, getenv))
			}
			continue
		}
		name, option, _ := strings.Cut(tag, ",")
		if err := set(field, value, getenv(name), option == "required"); err != nil {
			errs = append(errs, fmt.Errorf("%s %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// set sets one field from the text of its variable. The caller puts the name of the
// variable in front of the returned error.
func set(field reflect.StructField, value reflect.Value, text string, isRequired bool) error {
	if text == "" {
		text = field.Tag.Get("default")
	}
	if text == "" {
		if isRequired {
			return errors.New("must be set")
		}
		return nil
	}
	if err := decode(value, text); err != nil {
		if value.Type() == reflect.TypeFor[Secret]() {
			return errors.New("is invalid") // err may quote the secret
		}
		return fmt.Errorf("is set to %q: %w", text, err)
	}
	if limit, ok := field.Tag.Lookup("min"); ok {
		return checkMin(value, limit)
	}
	return nil
}

// decode parses text into v.
func decode(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("must be a duration, for example 90s or 15m")
		}
		v.SetInt(int64(d))
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("must be true or false")
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return errors.New("must be a whole number")
		}
		v.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errors.New("must be a number")
		}
		v.SetFloat(f)
	case reflect.Slice:
		return decodeList(v, text)
	default:
		return fmt.Errorf("cannot be read into a field of type %s", v.Type())
	}
	return nil
}

// decodeList parses a comma-separated list. Spaces around an entry are ignored.
func decodeList(v reflect.Value, text string) error {
	var errs []error
	for part := range strings.SplitSeq(text, ",") {
		item := reflect.New(v.Type().Elem()).Elem()
		if err := decode(item, strings.TrimSpace(part)); err != nil {
			errs = append(errs, err)
		}
		v.Set(reflect.Append(v, item))
	}
	return errors.Join(errs...)
}

// checkMin returns an error if v is below limit, which is the text of the tag min.
func checkMin(v reflect.Value, limit string) error {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		least, err := time.ParseDuration(limit)
		if err != nil {
			return err
		}
		if v.Int() < int64(least) {
			return fmt.Errorf("must be at least %s, got %s", least, time.Duration(v.Int()))
		}
		return nil
	}
	least, err := strconv.ParseFloat(limit, 64)
	if err != nil {
		return err
	}
	if got, unit := size(v); got < least {
		return fmt.Errorf("must be at least %s%s", limit, unit)
	}
	return nil
}

// size returns the quantity that the tag min limits, and its unit.
func size(v reflect.Value) (n float64, unit string) {
	if s, ok := v.Interface().(Secret); ok {
		return float64(len(s.value)), " bytes long"
	}
	switch v.Kind() {
	case reflect.String:
		return float64(v.Len()), " bytes long"
	case reflect.Slice:
		return float64(v.Len()), " entries long"
	case reflect.Float64:
		return v.Float(), ""
	default:
		return float64(v.Int()), ""
	}
}
