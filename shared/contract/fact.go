package contract

// Fact is the data of a CloudEvent that reports one change of a resource. Facts are
// delivered at least once and in any order. Version increases with each change of the
// resource, so that a consumer can detect a stale fact.
type Fact[T any] struct {
	MessageID string `json:"messageId"` // id of the CloudEvent
	Timestamp Time   `json:"timestamp"` // time of the change
	Version   int64  `json:"version"`
	Resource  T      `json:"resource"` // after the change
}
