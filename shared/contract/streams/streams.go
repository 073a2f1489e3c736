// Package streams is the contract between tools/streams, which creates the JetStream
// streams of the topics, and the apps. Other brokers need no streams, and nothing is
// published then.
package streams

import "boxoffice/shared/contract"

// FactMade is the type of the CloudEvent that lists the streams. It is published to every
// topic whenever a stream was created. An app that publishes facts thereby learns, on the
// topic that it subscribes to, that the facts it published before are lost.
const FactMade = "streams.made"

// Made is the data of a FactMade event.
type Made struct {
	Streams map[string]contract.Time `json:"streams"` // creation times, by topic
}
