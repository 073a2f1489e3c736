package mongodb

import (
	"time"

	"boxoffice/shared/coalesce"
	"boxoffice/shared/telemetry"
)

const (
	// maxBatch limits how many writes or reads share a command.
	maxBatch = 32
	// maxBatchWait limits how long a write or read waits for the running command before
	// it is sent in another one.
	maxBatchWait = time.Second
)

// newBatches returns a group whose batches each send one command to a collection. The
// traces of all members of a batch contain a span with the name of the command.
func newBatches[T any](command string, collection *Collection) *coalesce.Group[T] {
	return coalesce.New(coalesce.Config[T]{
		MaxItems: maxBatch, Timeout: requestTimeout, MaxWait: maxBatchWait,
		Follow: telemetry.FollowerSpan(command + " " + collection.Name()),
	})
}
