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

// Probe returns nil when a process is ready and otherwise what is missing. It
// is asked again and again, so it must be cheap and end with its context.
type Probe func(context.Context) error

// TCP is ready when something accepts connections at addr.
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

// HTTP is ready when a GET of url answers with a 2xx status.
func HTTP(url string) Probe { return HTTPWith(url, nil) }

// HTTPWith is HTTP with headers in the request.
func HTTPWith(url string, header http.Header) Probe {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		maps.Copy(req.Header, header)
		req.Close = true // a kept connection would outlive the probe
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

// await asks probe until it is content or ctx is done; the error is then the
// probe's last one. Each that comes goes to missing, too.
func await(ctx context.Context, probe Probe, missing func(error)) error {
	if probe == nil {
		return nil
	}
	last := errors.New("it was not asked")
	for {
		try, cancel := context.WithTimeout(ctx, probeWithin)
		err := probe(try)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil { // else the end of ctx caused it
			last = err
			missing(err)
		}
		if !pause(ctx, probeEvery) {
			return last
		}
	}
}
