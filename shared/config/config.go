// Package config reads the environment into a struct:
//
//	type config struct {
//		MongoURI  config.Secret `env:"MONGO_URI,required"`
//		Sweep     time.Duration `env:"SWEEP_INTERVAL" default:"30s" min:"1s"`
//		AppToken  config.Secret `env:"APP_API_TOKEN,required" min:"16"`
//		Proxies   []netip.Prefix `env:"TRUSTED_PROXIES"` // comma-separated
//	}
//
// A field is a string, an integer, a float, a bool, a time.Duration, anything
// that decodes text, a slice of these, or a struct of such fields. An empty
// variable counts as unset. min bounds numbers and durations by value, texts and
// secrets by length.
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

// Load fills a C from getenv. The error lists every variable that is missing or
// wrong, one a line, and shows no secret.
func Load[C any](getenv func(string) string) (C, error) {
	var c C
	err := fill(reflect.ValueOf(&c).Elem(), getenv)
	if err != nil {
		err = fmt.Errorf("configuration: %w", err)
	}
	return c, err
}

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

func set(field reflect.StructField, value reflect.Value, text string, required bool) error {
	if text == "" {
		text = field.Tag.Get("default")
	}
	if text == "" {
		if required {
			return errors.New("is not set")
		}
		return nil
	}
	if err := decode(value, text); err != nil {
		if value.Type() == reflect.TypeFor[Secret]() {
			return errors.New("is not valid") // the error might quote it
		}
		return fmt.Errorf("is %q: %w", text, err)
	}
	if limit, ok := field.Tag.Lookup("min"); ok {
		return checkMin(value, limit)
	}
	return nil
}

func decode(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("want a duration, as 90s or 15m")
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
			return errors.New("want true or false")
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return errors.New("want a whole number")
		}
		v.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return errors.New("want a number")
		}
		v.SetFloat(f)
	case reflect.Slice:
		return decodeList(v, text)
	default:
		return fmt.Errorf("a field of type %s cannot be configured", v.Type())
	}
	return nil
}

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

func checkMin(v reflect.Value, limit string) error {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		least, err := time.ParseDuration(limit)
		if err != nil {
			return err
		}
		if v.Int() < int64(least) {
			return fmt.Errorf("is %s and must be at least %s", time.Duration(v.Int()), least)
		}
	default:
		least, err := strconv.ParseFloat(limit, 64)
		if err != nil {
			return err
		}
		if got, unit := size(v); got < least {
			return fmt.Errorf("must have at least %s%s", limit, unit)
		}
	}
	return nil
}

func size(v reflect.Value) (n float64, unit string) {
	if s, ok := v.Interface().(Secret); ok {
		return float64(len(s.value)), " characters"
	}
	switch v.Kind() {
	case reflect.String, reflect.Slice:
		return float64(v.Len()), " characters"
	case reflect.Float64:
		return v.Float(), ""
	default:
		return float64(v.Int()), ""
	}
}
