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

// place is where a stack is, and how its admin logs in.
type place struct {
	gateway, jaeger string // base URLs; no Jaeger when empty
	email, password string
}

// locate reads what the devstack says of itself. Without that the stack is taken
// to be on the usual ports.
func locate(getenv func(string) string) (place, error) {
	dir := cmp.Or(getenv("DATA_DIR"), ".data")
	p := place{
		gateway: "http://127.0.0.1:" + cmp.Or(getenv("GATEWAY_PORT"), "8080"),
		jaeger:  "http://127.0.0.1:16686",
		email:   getenv("ADMIN_EMAIL"), password: getenv("ADMIN_PASSWORD"),
	}
	if getenv("JAEGER") == "off" {
		p.jaeger = ""
	}
	data, err := os.ReadFile(filepath.Join(dir, "stack.json")) //nolint:gosec // the user's own directory
	switch {
	case err == nil:
		var d struct {
			Gateway []string `json:"gateway"`
			Jaeger  string   `json:"jaeger"`
		}
		if err := json.Unmarshal(data, &d); err != nil {
			return p, fmt.Errorf("read where the stack is: %w", err)
		}
		if len(d.Gateway) > 0 {
			p.gateway, p.jaeger = d.Gateway[0], d.Jaeger
		}
	case !errors.Is(err, fs.ErrNotExist):
		return p, fmt.Errorf("read where the stack is: %w", err)
	}
	if p.email != "" && p.password != "" {
		return p, nil
	}
	path := filepath.Join(dir, "admin.env")
	data, err = os.ReadFile(path) //nolint:gosec // the user's own directory
	if err != nil {
		return p, fmt.Errorf("there is no admin in %s: start `make run` first, or set ADMIN_EMAIL and ADMIN_PASSWORD", path)
	}
	for line := range strings.Lines(string(data)) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), "="); name {
		case "ADMIN_EMAIL":
			p.email = value
		case "ADMIN_PASSWORD":
			p.password = value
		}
	}
	return p, nil
}
