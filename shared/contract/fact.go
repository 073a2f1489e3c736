package contract

// Fact is the data of a CloudEvent: what became of a resource. Facts are
// delivered at least once and in any order; Version, which each change of the
// resource raises, tells an old one from a new one.
type Fact[T any] struct {
	MessageID string `json:"messageId"` // the CloudEvent's id
	Timestamp Time   `json:"timestamp"` // when it became so
	Version   int64  `json:"version"`
	Resource  T      `json:"resource"`
}
