package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"time"
)

const (
	probeEvery  = 50 * time.Millisecond
	probeWithin = 2 * time.Second
)

// Probe returns nil if a process is ready, and otherwise why it is not. It is
// called repeatedly, so it must be cheap, and it must return when its context
// ends.
type Probe func(context.Context) error

// TCP returns a probe that succeeds when addr accepts a connection.
func TCP(addr string) Probe {
	return func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// HTTP returns a probe that succeeds when a GET of url has a 2xx status.
func HTTP(url string) Probe { return HTTPWith(url, nil) }

// HTTPWith is HTTP with headers in the request.
func HTTPWith(url string, header http.Header) Probe {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		maps.Copy(req.Header, header)
		req.Close = true // an idle connection would outlive the probe
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)); err != nil {
			return err
		}
		if res.StatusCode < 200 || res.StatusCode > 299 {
			return fmt.Errorf("GET %s: %s", url, res.Status)
		}
		return nil
	}
}

// await calls probe until it succeeds. If ctx ends first, await returns the last
// error of the probe. It passes each error to notReady.
func await(ctx context.Context, probe Probe, notReady func(error)) error {
	if probe == nil {
		return nil
	}
	last := errors.New("the probe was not called")
	for {
		try, cancel := context.WithTimeout(ctx, probeWithin)
		err := probe(try)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil { // otherwise the end of ctx is the cause
			last = err
			notReady(err)
		}
		if !pause(ctx, probeEvery) {
			return last
		}
	}
}
