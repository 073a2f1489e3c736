package natsserver

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/nats-io/nats-server/v2/server"
)

// logger logs the server's warnings and errors. It drops notices, of which the
// server prints two dozen at each start.
type logger struct{ log *slog.Logger }

var _ server.Logger = logger{}

func (l logger) Noticef(string, ...any) {}
func (l logger) Debugf(string, ...any)  {}
func (l logger) Tracef(string, ...any)  {}

func (l logger) Warnf(format string, v ...any) { l.log.Warn("nats", "text", fmt.Sprintf(format, v...)) }
func (l logger) Errorf(format string, v ...any) {
	l.log.Error("nats", "text", fmt.Sprintf(format, v...))
}

// Fatalf ends the process. The server relies on it not returning.
func (l logger) Fatalf(format string, v ...any) {
	l.log.Error("nats", "text", fmt.Sprintf(format, v...))
	os.Exit(1)
}
