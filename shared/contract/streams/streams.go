// Package streams is the contract between the apps and tools/streams, which creates the
// JetStream streams of the topics. With brokers other than JetStream, no stream is
// created and no FactMade event is published.
package streams

import "boxoffice/shared/contract"

// FactMade is the type of the CloudEvent that lists the streams. It is published to every
// topic whenever a stream has been created. An app receives it from the topic that it
// subscribes to. If the stream of the app's own topic was created again, the facts that
// the app published before are lost.
const FactMade = "streams.made"

// Made is the data of a FactMade event.
type Made struct {
	Streams map[string]contract.Time `json:"streams"` // creation times, by topic
}
