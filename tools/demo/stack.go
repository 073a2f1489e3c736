package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// stack has the addresses of a running Boxoffice and the credentials of its admin.
type stack struct {
	gateway, jaeger string // base URLs; jaeger is empty if the stack has no Jaeger
	email, password string // of the admin
}

// findStack reads the files in which devstack describes a running stack. If there is no
// stack.json, it assumes the default ports; GATEWAY_PORT and JAEGER=off override them.
func findStack(getenv func(string) string) (stack, error) {
	dir := cmp.Or(getenv("DATA_DIR"), ".data")
	s := stack{
		gateway: "http://127.0.0.1:" + cmp.Or(getenv("GATEWAY_PORT"), "8080"),
		jaeger:  "http://127.0.0.1:16686",
		email:   getenv("ADMIN_EMAIL"), password: getenv("ADMIN_PASSWORD"),
	}
	if getenv("JAEGER") == "off" {
		s.jaeger = ""
	}
	data, err := os.ReadFile(filepath.Join(dir, "stack.json")) //nolint:gosec // the user's own directory
	switch {
	case err == nil:
		var d struct {
			Gateway []string `json:"gateway"`
			Jaeger  string   `json:"jaeger"`
		}
		if err := json.Unmarshal(data, &d); err != nil {
			return s, fmt.Errorf("read the description of the stack: %w", err)
		}
		if len(d.Gateway) > 0 {
			s.gateway, s.jaeger = d.Gateway[0], d.Jaeger
		}
	case !errors.Is(err, fs.ErrNotExist):
		return s, fmt.Errorf("read the description of the stack: %w", err)
	}
	if s.email != "" && s.password != "" {
		return s, nil
	}
	path := filepath.Join(dir, "admin.env")
	data, err = os.ReadFile(path) //nolint:gosec // the user's own directory
	if err != nil {
		return s, fmt.Errorf("no admin credentials in %s: start `make run` first, or set ADMIN_EMAIL and ADMIN_PASSWORD", path)
	}
	for line := range strings.Lines(string(data)) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), "="); name {
		case "ADMIN_EMAIL":
			s.email = value
		case "ADMIN_PASSWORD":
			s.password = value
		}
	}
	return s, nil
}
