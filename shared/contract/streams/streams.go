// Package streams is what tools/streams tells the apps about the streams that
// facts go to. Another broker than JetStream needs no streams made and says
// nothing of the kind.
package streams

import "boxoffice/shared/contract"

// FactMade is the type of the CloudEvent that says which streams there are. It is
// put on every topic whenever one was made, so that who publishes to one learns of
// it on the topic that he listens to: what he sent to the stream before is lost.
const FactMade = "streams.made"

// Made is its data.
type Made struct {
	Streams map[string]contract.Time `json:"streams"` // when each was made, by topic
}
