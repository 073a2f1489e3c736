package natsserver

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/nats-io/nats-server/v2/server"
)

// logger passes on what needs somebody's attention. The server's notices are
// two dozen lines at each start.
type logger struct{ log *slog.Logger }

var _ server.Logger = logger{}

func (l logger) Noticef(string, ...any) {}
func (l logger) Debugf(string, ...any)  {}
func (l logger) Tracef(string, ...any)  {}

func (l logger) Warnf(format string, v ...any) { l.log.Warn("nats", "text", fmt.Sprintf(format, v...)) }
func (l logger) Errorf(format string, v ...any) {
	l.log.Error("nats", "text", fmt.Sprintf(format, v...))
}

// Fatalf ends the process: the server goes on as if this did not return.
func (l logger) Fatalf(format string, v ...any) {
	l.log.Error("nats", "text", fmt.Sprintf(format, v...))
	os.Exit(1)
}
