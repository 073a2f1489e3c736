package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"boxoffice/shared/config"
)

type nested struct {
	Token config.Secret `env:"TOKEN,required" min:"16"`
}

type settings struct {
	Nested  nested
	Name    string         `env:"NAME" default:"box"`
	Port    int            `env:"PORT" min:"1"`
	Ratio   float64        `env:"RATIO" default:"1"`
	On      bool           `env:"ON"`
	Every   time.Duration  `env:"EVERY" default:"30s" min:"1s"`
	Proxies []netip.Prefix `env:"PROXIES"`
}

func env(pairs ...string) func(string) string {
	values := map[string]string{}
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		values[name] = value
	}
	return func(name string) string { return values[name] }
}

const token = "0123456789abcdef"

func TestLoadFillsEveryKindOfField(t *testing.T) {
	got, err := config.Load[settings](env("TOKEN="+token, "PORT=8080", "ON=true", "PROXIES=10.0.0.0/8, ::1/128"))
	if err != nil {
		t.Fatal(err)
	}
	want := settings{
		Nested: nested{Token: config.NewSecret(token)},
		Name:   "box", Port: 8080, Ratio: 1, On: true, Every: 30 * time.Second,
		Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got.Nested.Token.Reveal() != token {
		t.Errorf("token: got %q, want %q", got.Nested.Token.Reveal(), token)
	}
}

func TestLoadListsEveryInvalidVariable(t *testing.T) {
	_, err := config.Load[settings](env("TOKEN=short", "PORT=0", "RATIO=much", "ON=perhaps", "EVERY=1ms", "PROXIES=nowhere"))
	if err == nil {
		t.Fatal("got no error")
	}
	for _, name := range []string{"TOKEN", "PORT", "RATIO", "ON", "EVERY", "PROXIES"} {
		if !strings.Contains(err.Error(), name+" ") {
			t.Errorf("got %v, want an error that names %s", err, name)
		}
	}
	if strings.Contains(err.Error(), "short") {
		t.Errorf("got %v, want an error without the secret", err)
	}
	if _, err = config.Load[settings](env()); err == nil || !strings.Contains(err.Error(), "TOKEN must be set") {
		t.Errorf("got %v, want an error that contains %q", err, "TOKEN must be set")
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	c := struct{ Token config.Secret }{config.NewSecret(token)}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("configuration", "token", c.Token, "all", c)
	for _, printed := range []string{
		fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %q %x", c, c, c, c.Token, c.Token), string(encoded), log.String(),
	} {
		if strings.Contains(printed, token) || strings.Contains(printed, fmt.Sprintf("%x", token)) {
			t.Errorf("got %s, want no secret in it", printed)
		}
	}
	if !strings.Contains(fmt.Sprint(c), "[redacted]") {
		t.Errorf("got %v, want [redacted] in it", c)
	}
}
