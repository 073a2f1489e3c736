package rpc

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"time"

	"boxoffice/shared/apperr"
	"boxoffice/shared/contract"
	"boxoffice/shared/strictjson"
)

// Limits of message bodies in bytes. A page of a hundred events has at most about 600 KiB.
const (
	maxRequest = 1 << 20
	maxReply   = 4 << 20
)

type request[T any] struct {
	MessageID string        `json:"messageId"`
	Timestamp contract.Time `json:"timestamp"`
	Data      *T            `json:"data"` // nil if absent; {} is a valid request
	// Malformed lists fields of the client's request that the caller could not decode. The
	// operation is then not carried out; see Check.
	Malformed []apperr.Field `json:"malformed,omitempty"`
}

type reply[T any] struct {
	MessageID string `json:"messageId"`
	Answer[T]
}

type wireError struct {
	Code       string         `json:"code"`
	Reason     string         `json:"reason"`
	Message    string         `json:"message"`
	Fields     []apperr.Field `json:"fields,omitempty"`
	RetryAfter int            `json:"retryAfter,omitempty"` // seconds
	// Overloaded reports that a healthy app refused the request because of load. Only
	// errors with the code unavailable have it.
	Overloaded bool `json:"overloaded,omitempty"`
	// ConflictsWith is the id of an existing resource.
	ConflictsWith string `json:"conflictsWith,omitempty"`
}

// decodeRequest decodes a request. Its error is an *apperr.Error with the code Invalid.
func decodeRequest[T any](body []byte) (request[T], error) {
	var r request[T]
	if err := strictjson.Decode(body, &r); err != nil {
		return r, err
	}
	var missing []apperr.Field
	if r.MessageID == "" {
		missing = append(missing, apperr.Field{Field: "messageId", Code: "required", Message: "is required"})
	}
	if r.Data == nil {
		missing = append(missing, apperr.Field{Field: "data", Code: "required", Message: "is required"})
	}
	if missing != nil {
		return r, apperr.InvalidFields(missing...)
	}
	return r, nil
}

// encodeReply returns the status and the body of a reply. err may be nil.
func encodeReply[T any](messageID string, data T, err *apperr.Error) (status int, body []byte) {
	r := reply[T]{MessageID: messageID, Answer: Answer[T]{Data: &data}}
	status = http.StatusOK
	if err != nil {
		r.Answer = Answer[T]{Error: toWire(err)}
		status = statusOf(err)
	}
	body, failed := json.Marshal(r)
	if failed != nil {
		fault := apperr.Fault(fmt.Errorf("encode the reply: %w", failed))
		return encodeReply(messageID, Nothing{}, fault)
	}
	return status, body
}

// decodeReply returns the outcome of a call. ok is false if body is not the app's reply
// to the message with this id.
func decodeReply[T any](messageID string, body []byte) (data T, outcome error, ok bool) {
	var r reply[T]
	if err := strictjson.DecodeResponse(body, &r); err != nil || r.MessageID != messageID {
		return data, nil, false
	}
	result, ok := r.result()
	return result.Data, result.Err, ok
}

// statusOf returns the HTTP status that the sidecar must see: 200 unless the app failed.
func statusOf(err *apperr.Error) int {
	if !err.Failure() {
		return http.StatusOK
	}
	switch err.Code {
	case apperr.Unavailable:
		return http.StatusServiceUnavailable
	case apperr.Timeout:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}

func toWire(err *apperr.Error) *wireError {
	return &wireError{
		Code: string(err.Code), Reason: err.Reason, Message: err.Message, Fields: err.Fields,
		RetryAfter: int(math.Ceil(err.RetryAfter.Seconds())), Overloaded: err.IsOverloaded(), ConflictsWith: err.ConflictsWith,
	}
}

// fromWire returns the error that the app sent. It has no cause, because the app logs
// causes and does not send them.
func fromWire(w *wireError) error {
	code, err := apperr.ParseCode(w.Code)
	if err != nil {
		return apperr.Fault(err)
	}
	retryAfter := time.Duration(max(w.RetryAfter, 0)) * time.Second
	e := apperr.New(code, w.Reason, w.Message)
	if w.Overloaded && code == apperr.Unavailable {
		e = apperr.Overloaded(retryAfter)
		e.Reason, e.Message = w.Reason, w.Message
	}
	e.Fields = w.Fields
	e.RetryAfter = retryAfter
	e.ConflictsWith = w.ConflictsWith
	return e
}
