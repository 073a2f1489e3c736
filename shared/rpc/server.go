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

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"

	"boxoffice/shared/apperr"
	"boxoffice/shared/telemetry"
)

// tokenHeader carries both of Dapr's tokens: the app's to the sidecar and the
// sidecar's to the app.
const tokenHeader = "dapr-api-token"

// Server answers the operations of one app. It is an http.Handler for the paths
// /<method>, to be called by the app's own sidecar only.
type Server struct {
	app     string
	log     *slog.Logger
	ops     map[string]http.Handler
	handler http.Handler
}

// ServerConfig is what a Server needs. All fields must be set.
type ServerConfig struct {
	App     string // as in Op.App
	Token   string // APP_API_TOKEN: what the sidecar shows
	Log     *slog.Logger
	Tracing trace.TracerProvider
}

// NewServer returns a server without operations.
func NewServer(cfg ServerConfig) *Server {
	s := &Server{app: cfg.App, log: cfg.Log, ops: map[string]http.Handler{}}
	traced := otelhttp.NewHandler(http.HandlerFunc(s.dispatch), "invoke",
		otelhttp.WithTracerProvider(cfg.Tracing),
		otelhttp.WithPropagators(telemetry.Propagator()),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return methodOf(r) }),
	)
	s.handler = RequireToken(cfg.Token, traced)
	return s
}

// RequireToken lets through only what carries the app's token, which the own
// sidecar alone knows. Dapr's SDK checks it for nothing but operations, so it
// goes before topics and bindings too.
func RequireToken(token string, next http.Handler) http.Handler {
	// Hashes have equal lengths, so the comparison tells nothing about the token's.
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(r.Header.Get(tokenHeader)))
		if token == "" || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			http.Error(w, "app token missing or wrong", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Handle serves op with fn. fn's context ends with the operation's deadline, not
// when the caller leaves: half a write helps nobody. fn returns an *apperr.Error
// to refuse; any other error is logged and answered as internal.
//
// Like http.ServeMux it panics when two handlers claim one name, or one is bound
// to the wrong app: a program that starts so is wrong.
func Handle[Req, Res any](srv *Server, op Op[Req, Res], fn func(context.Context, Req) (Res, error)) {
	if op.App != srv.app {
		panic(fmt.Sprintf("rpc: %s is an operation of %s, not of %s", op.Method, op.App, srv.app))
	}
	if _, taken := srv.ops[op.Method]; taken {
		panic("rpc: two handlers for " + op.Method)
	}
	srv.ops[op.Method] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), op.Timeout)
		defer cancel()
		messageID, res, err := serve(ctx, r.Body, fn)
		var answer *apperr.Error
		if err != nil {
			answer = apperr.From(err)
			srv.report(ctx, op.Method, answer, err)
		}
		status, body := encodeReply(messageID, res, answer)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(body) // a caller who has left cannot be told
	})
}

func serve[Req, Res any](ctx context.Context, body io.Reader, fn func(context.Context, Req) (Res, error)) (messageID string, res Res, err error) {
	data, err := io.ReadAll(io.LimitReader(body, maxRequest+1))
	if err != nil {
		return "", res, apperr.New(apperr.Invalid, "", "The request could not be read.").WithCause(err)
	}
	if len(data) > maxRequest {
		return "", res, apperr.New(apperr.Invalid, "", "The request is too large.")
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
	messageID = req.MessageID // known to the answer of a panic too
	res, err = fn(ctx, *req.Data)
	return messageID, res, err
}

// report logs a failure where its cause is known. An error that came over from
// another app has none: it was logged there.
func (s *Server) report(ctx context.Context, method string, answer *apperr.Error, err error) {
	if answer.Failure() && errors.Unwrap(answer) != nil {
		s.log.ErrorContext(ctx, "operation failed",
			telemetry.KeyOperation, method, telemetry.KeyCode, string(answer.Code), telemetry.KeyError, err.Error())
	}
}

// Methods lists the operations that are served, sorted.
func (s *Server) Methods() []string {
	var names []string
	for name := range s.ops {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Serves reports whether a request is for one of the operations.
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
		http.Error(w, "operations are called with POST", http.StatusMethodNotAllowed)
	default:
		op.ServeHTTP(w, r)
	}
}

func methodOf(r *http.Request) string { return r.URL.Path[min(1, len(r.URL.Path)):] }
