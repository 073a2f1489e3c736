package rpc

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/telemetry"
)

// Client calls operations of other apps through the own sidecar. It is safe for
// concurrent use.
type Client struct {
	sidecar string
	token   string
	http    *http.Client
}

// ClientConfig is what a Client needs. All fields must be set.
type ClientConfig struct {
	Sidecar string // base URL of the own sidecar, http://127.0.0.1:3500
	Token   string // DAPR_API_TOKEN: what the sidecar asks for
	Tracing trace.TracerProvider
}

// NewClient returns a client; it does not connect yet.
func NewClient(cfg ClientConfig) *Client {
	transport := &http.Transport{
		MaxIdleConns:        256,
		MaxIdleConnsPerHost: 256, // there is one host, and the default of 2 would dial anew under load
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true,
	}
	return &Client{
		sidecar: cfg.Sidecar,
		token:   cfg.Token,
		http: &http.Client{Transport: otelhttp.NewTransport(transport,
			otelhttp.WithTracerProvider(cfg.Tracing),
			otelhttp.WithPropagators(telemetry.Propagator()),
			otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return callName(r.URL.Path) }),
		)},
	}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call asks for op and waits for its answer. The error is an *apperr.Error: what
// the app answered, or Unavailable or Timeout when its answer did not come, and
// then it is not known whether the operation took place.
func Call[Req, Res any](ctx context.Context, c *Client, op Op[Req, Res], req Req) (Res, error) {
	var none Res
	messageID := rand.Text()
	body, err := json.Marshal(request[Req]{MessageID: messageID, Timestamp: contract.At(time.Now()), Data: &req})
	if err != nil {
		return none, apperr.Fault(fmt.Errorf("call %s: encode: %w", op.Method, err))
	}
	ctx, cancel := context.WithTimeout(ctx, op.Timeout)
	defer cancel()
	status, answer, err := c.post(ctx, op.App, op.Method, body)
	if err != nil {
		return none, unanswered(fmt.Errorf("call %s: %w", op.Method, err))
	}
	if data, refusal, ok := decodeReply[Res](messageID, answer); ok {
		return data, refusal
	}
	return none, unexpected(op.Method, status, answer)
}

const invoke = "/v1.0/invoke/"

// CallName is the name of the spans of calls of op.
func CallName[Req, Res any](op Op[Req, Res]) string { return callName(pathOf(op.App, op.Method)) }

func callName(path string) string { return "call " + path[len(invoke):] }

func pathOf(app, method string) string { return invoke + app + "/method/" + method }

// post sends with a Content-Length: Dapr never retries what has none.
func (c *Client) post(ctx context.Context, app, method string, body []byte) (status int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.sidecar+pathOf(app, method), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(tokenHeader, c.token)
	res, err := c.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxReply+1))
	if err == nil && len(answer) > maxReply {
		err = errors.New("the answer is too large")
	}
	return res.StatusCode, answer, err
}

func unanswered(err error) error {
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return apperr.TimedOut(err)
	}
	return apperr.Unreachable(err)
}

// unexpected judges an answer that is not the app's: the sidecar's own errors,
// an open circuit breaker among them (500 ERR_DIRECT_INVOKE), or nonsense.
func unexpected(method string, status int, answer []byte) error {
	err := fmt.Errorf("call %s: status %d", method, status)
	if status >= http.StatusBadRequest {
		// Apps answer with 200: these words are the sidecar's, and no secret.
		err = fmt.Errorf("%w: %.300s", err, answer)
	}
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout:
		return apperr.TimedOut(err)
	case status >= 500:
		return apperr.Unreachable(err)
	default:
		// A wrong token, a denied call, no such operation, 200 without an
		// envelope: waiting mends none of these.
		return apperr.Fault(err)
	}
}
