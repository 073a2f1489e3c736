// Package mongoerr defines the errors of the MongoDB protocol. An error has a
// code, the name of that code, and a message; all three appear in the reply.
//
// MongoDB lists its codes and their names in
// https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
package mongoerr

import (
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/bson"
)

// Code is a MongoDB error code.
type Code int32

// MongoDB's error codes. Some of them appear only in replies that a fail point
// requests.
const (
	InternalError              Code = 1
	BadValue                   Code = 2
	FailedToParse              Code = 9
	Unauthorized               Code = 13
	TypeMismatch               Code = 14
	Overflow                   Code = 15
	InvalidLength              Code = 16
	IllegalOperation           Code = 20
	NamespaceNotFound          Code = 26
	IndexNotFound              Code = 27
	PathNotViable              Code = 28
	ConversionFailure          Code = 241
	NotSingleValueField        Code = 54
	ConflictingUpdateOperators Code = 40
	CursorNotFound             Code = 43
	NamespaceExists            Code = 48
	MaxTimeMSExpired           Code = 50
	DollarPrefixedFieldName    Code = 52
	EmptyFieldName             Code = 56
	CommandNotFound            Code = 59
	ImmutableField             Code = 66
	CannotCreateIndex          Code = 67
	InvalidOptions             Code = 72
	InvalidNamespace           Code = 73
	IndexOptionsConflict       Code = 85
	IndexKeySpecsConflict      Code = 86
	OperationFailed            Code = 96
	CannotIndexParallelArrays  Code = 171
	InvalidPipelineOperator    Code = 168
	TransactionTooOld          Code = 225
	CursorKilled               Code = 237
	CursorInUse                Code = 289
	NotImplemented             Code = 238
	Interrupted                Code = 11601
	DuplicateKey               Code = 11000
	InterruptedAtShutdown      Code = 11600
	BSONObjectTooLarge         Code = 10334
	OutOfDiskSpace             Code = 14031
	FailPointEnabled           Code = 9595
	QueryExceededMemoryLimit   Code = 292
	NoSuchTransaction          Code = 251
	OperationNotSupportedInTxn Code = 263
	InvalidIndexSpecification  Code = 197
	UnknownField               Code = 40415
	MissingField               Code = 40414
	UnrecognizedPipelineStage  Code = 40324
	ProjectionMixed            Code = 31254
	PathCollision              Code = 31249
)

// names holds the names of codes. It includes codes without a constant above.
var names = map[Code]string{
	Overflow: "Overflow", ConversionFailure: "ConversionFailure",
	NotSingleValueField: "NotSingleValueField",
	InternalError:       "InternalError", BadValue: "BadValue", FailedToParse: "FailedToParse",
	Unauthorized: "Unauthorized", TypeMismatch: "TypeMismatch", InvalidLength: "InvalidLength",
	IllegalOperation: "IllegalOperation", NamespaceNotFound: "NamespaceNotFound",
	IndexNotFound: "IndexNotFound", PathNotViable: "PathNotViable",
	ConflictingUpdateOperators: "ConflictingUpdateOperators", CursorNotFound: "CursorNotFound",
	NamespaceExists: "NamespaceExists", MaxTimeMSExpired: "MaxTimeMSExpired",
	DollarPrefixedFieldName: "DollarPrefixedFieldName", EmptyFieldName: "EmptyFieldName",
	CommandNotFound: "CommandNotFound", ImmutableField: "ImmutableField",
	CannotCreateIndex: "CannotCreateIndex", InvalidOptions: "InvalidOptions",
	InvalidNamespace: "InvalidNamespace", IndexOptionsConflict: "IndexOptionsConflict",
	IndexKeySpecsConflict: "IndexKeySpecsConflict", OperationFailed: "OperationFailed",
	CannotIndexParallelArrays: "CannotIndexParallelArrays",
	InvalidPipelineOperator:   "InvalidPipelineOperator", TransactionTooOld: "TransactionTooOld",
	NotImplemented: "NotImplemented", Interrupted: "Interrupted", DuplicateKey: "DuplicateKey",
	InterruptedAtShutdown: "InterruptedAtShutdown", BSONObjectTooLarge: "BSONObjectTooLarge",
	OutOfDiskSpace: "OutOfDiskSpace", FailPointEnabled: "FailPointEnabled",
	QueryExceededMemoryLimit: "QueryExceededMemoryLimitNoDiskUseAllowed",
	NoSuchTransaction:        "NoSuchTransaction",
	CursorKilled:             "CursorKilled", CursorInUse: "CursorInUse", 22: "InvalidBSON", 53: "InvalidIdField",
	13297: "DatabaseDifferCase", 352: "UnsupportedOpQueryCommand", 322: "APIVersionError",
	OperationNotSupportedInTxn: "OperationNotSupportedInTransaction",
	InvalidIndexSpecification:  "InvalidIndexSpecificationOption",
	// Only fail points return the codes below.
	6: "HostUnreachable", 7: "HostNotFound", 8: "UnknownError", 64: "WriteConcernFailed",
	89: "NetworkTimeout", 91: "ShutdownInProgress", 112: "WriteConflict", 189: "PrimarySteppedDown",
	262: "ExceededTimeLimit", 9001: "SocketException", 10107: "NotWritablePrimary",
	11602: "InterruptedDueToReplStateChange", 13435: "NotPrimaryNoSecondaryOk", 13436: "NotPrimaryOrSecondary",
}

// Name returns the code's name. If the code has no name, it returns
// "Location<code>", as MongoDB does.
func (c Code) Name() string {
	if n, ok := names[c]; ok {
		return n
	}
	return fmt.Sprintf("Location%d", int32(c))
}

// Error is an error that a reply reports to the client.
type Error struct {
	Code    Code
	Message string
	// Details holds additional fields of the reply or write error, such as
	// keyPattern and keyValue for a duplicate key.
	Details bson.D
}

// Error returns the name of the code and the message.
func (e *Error) Error() string { return e.Code.Name() + ": " + e.Message }

// New returns an error with a formatted message.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Unsupported returns a NotImplemented error for a MongoDB feature that this
// server lacks. The formatted message names the feature.
func Unsupported(format string, args ...any) *Error {
	return New(NotImplemented, "mongolite does not support %s", fmt.Sprintf(format, args...))
}

// From returns err as a protocol error. It returns the *Error that err is or
// wraps; for any other err it returns an InternalError with the text of err.
func From(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return New(InternalError, "%s", err.Error())
}
