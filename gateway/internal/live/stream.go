package live

import (
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

const (
	// heartbeat is the time after which a comment is sent if nothing else was. It keeps
	// proxies from closing the connection, and detects a client that is gone.
	heartbeat = 15 * time.Second
	// writeTimeout limits how long a client takes to receive one event. Afterwards it
	// is dropped.
	writeTimeout = 5 * time.Second
	// reconnectAfter is how long clients wait before they reconnect to a gateway that
	// has stopped.
	reconnectAfter = 2 * time.Second
	// maxInput is how many bytes a client may send while it watches. It should send none.
	maxInput = 64 << 10
)

// Stream writes header and then the updates of a watcher to a connection. It returns when
// the subject has ended, the hub is stopping, the client has closed the connection, or
// the client did not receive an event within writeTimeout. The caller closes the
// connection.
type Stream struct {
	Watcher *Watcher
	Conn    net.Conn
	Header  []byte // the head of the HTTP response
	Subject string
	Last    int64 // the version that the client has already; only newer ones are sent
}

// Run writes the stream and closes the watcher. The HTTP response has no length and ends
// with the connection.
func (s Stream) Run() {
	defer s.Watcher.Close()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.CopyN(io.Discard, s.Conn, maxInput) // ends with any error
	}()
	// Nothing may use the connection after Run returns.
	defer func() {
		_ = s.Conn.SetReadDeadline(time.Unix(1, 0))
		<-gone
	}()
	if s.write(s.Header) == nil {
		s.run(gone)
	}
}

// run writes events until the stream ends. gone is closed when the client has
// disconnected.
func (s Stream) run(gone <-chan struct{}) {
	beat := time.NewTimer(heartbeat)
	defer beat.Stop()
	// An event is followed by a pause, during which changed is nil. resume fires at the end
	// of the pause and is nil otherwise.
	changed := s.Watcher.Changed()
	var resume <-chan time.Time
	for {
		var out []byte
		select {
		case <-resume:
			changed, resume = s.Watcher.Changed(), nil
			continue
		case <-changed:
			u := s.Watcher.Latest()
			out = s.events(u)
			if u.Closed {
				_ = s.write(out) // the stream ends in any case
				return
			}
			if out == nil {
				continue
			}
			s.Last = u.Version
			changed, resume = nil, time.After(s.Watcher.hub.cfg.Interval)
		case <-beat.C:
			out = []byte(": heartbeat\n\n")
		case <-s.Watcher.hub.stopping:
			_ = s.write(fmt.Appendf(nil, "retry: %d\n\n", reconnectAfter.Milliseconds())) // the stream ends in any case
			return
		case <-gone:
			return
		}
		if s.write(out) != nil {
			return
		}
		beat.Reset(heartbeat)
	}
}

// events returns an update as the events that the client does not have yet.
func (s Stream) events(u Update) []byte {
	var events []byte
	if u.Version > s.Last {
		events = u.event
	}
	if u.Closed {
		// Clients ignore an event without data.
		events = fmt.Appendf(slices.Clip(events), "event: closed\ndata: {\"eventId\":%q}\n\n", s.Subject)
	}
	return events
}

// write sends data before the write timeout.
func (s Stream) write(data []byte) error {
	if err := s.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := s.Conn.Write(data)
	return err
}
