package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"boxoffice/shared/lifecycle"
)

// sidecarHealth is the path of the sidecar's outbound health, which does not depend on the
// health of its app.
const sidecarHealth = "/v1.0/healthz/outbound"

// sidecar returns a part that waits for the program's sidecar. It must start after the
// program listens, because the sidecar waits for the program's port before it is ready.
func (a *App) sidecar() lifecycle.Part {
	return lifecycle.Part{Name: "sidecar", Start: func(ctx context.Context) error {
		return waitFor(ctx, a.sidecarURL()+sidecarHealth)
	}}
}

var errNotReady = errors.New("not ready")

// waitFor requests url until the answer is a success or ctx ends.
func waitFor(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe(ctx, client, url)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (last error: %w)", ctx.Err(), err)
		}
	}
}

// probe returns an error unless url answers with a success.
func probe(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body) // so that the connection can be reused
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%w: status %d", errNotReady, res.StatusCode)
	}
	return nil
}

// SidecarProbe returns a probe of the program's sidecar. A program that needs its sidecar
// for every request passes it to Check. All probes use one connection, which stays open.
func (a *App) SidecarProbe() func(context.Context) error {
	client := &http.Client{Timeout: checkTimeout, Transport: &http.Transport{
		MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, IdleConnTimeout: 90 * time.Second, DisableCompression: true,
	}}
	return func(ctx context.Context) error { return probe(ctx, client, a.sidecarURL()+sidecarHealth) }
}
