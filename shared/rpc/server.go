package rpc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/shared/apperr"
	"boxoffice/shared/telemetry"
)

// TokenHeader carries both of Dapr's tokens: DAPR_API_TOKEN from the app to the sidecar,
// and APP_API_TOKEN from the sidecar to the app.
const TokenHeader = "dapr-api-token"

// Server serves the operations of one app. It is an http.Handler for the paths /<method>,
// which only the app's sidecar may call.
type Server struct {
	app     string
	log     *slog.Logger
	ops     map[string]http.Handler
	handler http.Handler
	calls   *callDurations
}

// ServerConfig configures a Server. All fields except Metrics must be set.
type ServerConfig struct {
	App     string // as in Op.App
	Token   string // APP_API_TOKEN, which authenticates the sidecar to the app
	Log     *slog.Logger
	Tracing trace.TracerProvider
	Metrics metric.MeterProvider // nil measures nothing
}

// NewServer returns a server without operations.
func NewServer(cfg ServerConfig) *Server {
	s := &Server{app: cfg.App, log: cfg.Log, ops: map[string]http.Handler{}, calls: newCallDurations(cfg.Metrics)}
	traced := otelhttp.NewHandler(http.HandlerFunc(s.dispatch), "invoke",
		otelhttp.WithTracerProvider(cfg.Tracing),
		otelhttp.WithPropagators(telemetry.Propagator()),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return methodOf(r) }),
	)
	s.handler = RequireToken(cfg.Token, traced)
	return s
}

// RequireToken returns a handler that passes requests with the app's token to next and
// answers all others with 401. Only the app's sidecar has the token. The handlers of
// topics and bindings need this check as much as those of operations. If token is empty,
// every request is refused.
func RequireToken(token string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !TokenMatches(token, r.Header.Get(TokenHeader)) {
			http.Error(w, "the app token is missing or wrong", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// TokenMatches reports whether got is token, in a time that does not depend on got. An
// empty token matches nothing.
func TokenMatches(token, got string) bool {
	// The hashes have equal lengths, so the comparison does not reveal the token's length.
	a, b := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(got))
	return token != "" && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// Handle serves op with fn. To refuse a request, fn returns an *apperr.Error; any other
// error is logged and sent as apperr.From classifies it. The context of fn ends after the
// operation's timeout. It does not end when the caller disconnects, so that an operation
// is not abandoned halfway.
//
// Like http.ServeMux, Handle panics if it is misused: if op already has a handler or
// belongs to another app.
func Handle[Req, Res any](srv *Server, op Op[Req, Res], fn func(context.Context, Req) (Res, error)) {
	HandleChecked(srv, op, func(context.Context, Req) error { return nil }, fn)
}

// HandleChecked is like Handle, but also serves Check. check returns the error of fn for a
// request with invalid values, and has no other effect.
func HandleChecked[Req, Res any](srv *Server, op Op[Req, Res], check func(context.Context, Req) error, fn func(context.Context, Req) (Res, error)) {
	if op.App != srv.app {
		panic(fmt.Sprintf("rpc: %s is an operation of %s, not of %s", op.Method, op.App, srv.app))
	}
	if _, taken := srv.ops[op.Method]; taken {
		panic("rpc: " + op.Method + " already has a handler")
	}
	srv.ops[op.Method] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), op.Timeout)
		defer cancel()
		messageID, res, err := serve(ctx, r.Body, check, fn)
		var sent *apperr.Error
		if err != nil {
			sent = apperr.From(err)
			srv.logFailure(ctx, op.Method, sent, err)
		}
		status, body := encodeReply(messageID, res, sent)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(body) // fails only if the caller has disconnected
		srv.calls.record(ctx, time.Since(began), op.Method, sent)
	})
}

// serve decodes a request and calls fn, or check if fields of it are malformed. It converts
// a panic to an error. messageID is empty if the request has none.
func serve[Req, Res any](ctx context.Context, body io.Reader, check func(context.Context, Req) error, fn func(context.Context, Req) (Res, error)) (messageID string, res Res, err error) {
	data, err := io.ReadAll(io.LimitReader(body, maxRequest+1))
	if err != nil {
		return "", res, apperr.New(apperr.Invalid, "", "The request could not be read. Send it again.").WithCause(err)
	}
	if len(data) > maxRequest {
		return "", res, apperr.New(apperr.Invalid, "", fmt.Sprintf("The request must not be larger than %d bytes.", maxRequest))
	}
	req, err := decodeRequest[Req](data)
	if err != nil {
		return req.MessageID, res, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	messageID = req.MessageID // set before fn is called, so that the reply after a panic has it
	if len(req.Malformed) > 0 {
		if err = check(ctx, *req.Data); err == nil {
			err = apperr.InvalidFields(req.Malformed...)
		}
		return messageID, res, err
	}
	res, err = fn(ctx, *req.Data)
	return messageID, res, err
}

// logFailure logs err if it is a failure of this app. A failure without a cause came from
// another app, which has logged it. sent is the error that the caller receives.
func (s *Server) logFailure(ctx context.Context, method string, sent *apperr.Error, err error) {
	if sent.Failure() && errors.Unwrap(sent) != nil {
		s.log.ErrorContext(ctx, "operation failed",
			telemetry.KeyOperation, method, telemetry.KeyCode, string(sent.Code), telemetry.KeyError, err.Error())
	}
}

// Methods returns the names of the served operations in alphabetical order.
func (s *Server) Methods() []string {
	var names []string
	for name := range s.ops {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Serves reports whether the request is for a served operation.
func (s *Server) Serves(r *http.Request) bool {
	_, ok := s.ops[methodOf(r)]
	return ok
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) {
	op, ok := s.ops[methodOf(r)]
	switch {
	case !ok:
		http.Error(w, "no such operation", http.StatusNotFound)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "operations must be called with POST", http.StatusMethodNotAllowed)
	default:
		op.ServeHTTP(w, r)
	}
}

func methodOf(r *http.Request) string { return r.URL.Path[min(1, len(r.URL.Path)):] }
