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

// Client calls operations of other apps through the program's sidecar. It is safe for
// concurrent use.
type Client struct {
	sidecar string
	token   string
	http    *http.Client
}

// ClientConfig configures a Client. All fields must be set.
type ClientConfig struct {
	Sidecar string // the base URL of the program's sidecar, such as http://127.0.0.1:3500
	Token   string // DAPR_API_TOKEN, which authenticates the program to its sidecar
	Tracing trace.TracerProvider
}

// NewClient returns a client. It connects when it is first used.
func NewClient(cfg ClientConfig) *Client {
	transport := &http.Transport{
		MaxIdleConns:        256,
		MaxIdleConnsPerHost: 256, // the sidecar is the only host; the default of 2 would redial under load
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

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call calls op and returns its result. Every error is an *apperr.Error: the one that the
// app returned, or Unavailable or Timeout if no reply of the app arrived, or Internal if
// the call cannot succeed, for example because the operation is unknown. After
// Unavailable and Timeout it is unknown whether the operation took place, unless the
// error's IsOverloaded method returns true: then it did not.
func Call[Req, Res any](ctx context.Context, c *Client, op Op[Req, Res], req Req) (Res, error) {
	return call(ctx, c, op, request[Req]{Data: &req})
}

// Check returns the error of op for a request of which some fields are malformed: they have
// their zero values in req. The operation is never carried out. The error lists the invalid
// values of the other fields, if op was served with HandleChecked and there are any, and
// otherwise the malformed fields. It may also be one that Call returns if no reply arrived.
func Check[Req, Res any](ctx context.Context, c *Client, op Op[Req, Res], req Req, malformed []apperr.Field) error {
	_, err := call(ctx, c, op, request[Req]{Data: &req, Malformed: malformed})
	return err
}

// call completes and sends a request; see Call.
func call[Req, Res any](ctx context.Context, c *Client, op Op[Req, Res], r request[Req]) (Res, error) {
	var none Res
	messageID := rand.Text()
	r.MessageID, r.Timestamp = messageID, contract.At(time.Now())
	body, err := json.Marshal(r)
	if err != nil {
		return none, apperr.Fault(fmt.Errorf("call %s: encode: %w", op.Method, err))
	}
	ctx, cancel := context.WithTimeout(ctx, op.Timeout)
	defer cancel()
	status, body, err := c.post(ctx, op.App, op.Method, body)
	if err != nil {
		return none, noReplyError(fmt.Errorf("call %s: %w", op.Method, err))
	}
	if res, err, ok := decodeReply[Res](messageID, body); ok {
		return res, err
	}
	return none, foreignReplyError(op.Method, status, body)
}

const invokePrefix = "/v1.0/invoke/"

// CallName returns the name of the client spans of op.
func CallName[Req, Res any](op Op[Req, Res]) string { return callName(pathOf(op.App, op.Method)) }

func callName(path string) string { return "call " + path[len(invokePrefix):] }

func pathOf(app, method string) string { return invokePrefix + app + "/method/" + method }

// post sends a request and returns the reply. The request has a Content-Length, because
// Dapr never retries a request without one.
func (c *Client) post(ctx context.Context, app, method string, body []byte) (status int, reply []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.sidecar+pathOf(app, method), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(TokenHeader, c.token)
	res, err := c.http.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	reply, err = io.ReadAll(io.LimitReader(res.Body, maxReply+1))
	if err == nil && len(reply) > maxReply {
		err = fmt.Errorf("the reply is larger than %d bytes", maxReply)
	}
	return res.StatusCode, reply, err
}

// noReplyError classifies the error of a call without a reply.
func noReplyError(err error) error {
	var timeout interface{ Timeout() bool }
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		return apperr.TimedOut(err)
	}
	return apperr.Unreachable(err)
}

// foreignReplyError classifies a reply that is not from the app. It is usually an error
// of the sidecar, such as an open circuit breaker (500 ERR_DIRECT_INVOKE).
func foreignReplyError(method string, status int, reply []byte) error {
	err := fmt.Errorf("call %s: status %d", method, status)
	if status >= http.StatusBadRequest {
		// Only the sidecar sends such a status without an envelope. Its text contains
		// no secrets, unlike a malformed reply of an app.
		err = fmt.Errorf("%w: %.300s", err, reply)
	}
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout:
		return apperr.TimedOut(err)
	case status >= 500:
		return apperr.Unreachable(err)
	default:
		// A wrong token, a denied call, an unknown operation or a 200 without an
		// envelope. A retry would not help.
		return apperr.Fault(err)
	}
}
