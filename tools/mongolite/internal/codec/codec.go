// Package codec turns BSON into bson.D and back as the driver's package bson
// does, with the same Go types and the same bytes, at a fraction of the cost:
// it goes by the types of the values where the driver asks a registry, by
// reflection. A document with anything rare or malformed in it is left to the
// driver as a whole, and so are the words of the error.
//
// https://bsonspec.org/spec.html
package codec

import "go.mongodb.org/mongo-driver/bson"

// Unmarshal returns the document that raw is. It shares no memory with raw.
func Unmarshal(raw []byte) (bson.D, error) {
	if doc, ok := decode(raw); ok {
		return doc, nil
	}
	var doc bson.D
	err := bson.Unmarshal(raw, &doc)
	return doc, err
}

// Marshal returns doc in BSON.
func Marshal(doc bson.D) ([]byte, error) {
	if raw, ok := appendDocument(make([]byte, 0, 512), doc, 0); ok {
		return raw, nil
	}
	return bson.Marshal(doc)
}

// maxDepth is how deep documents may be nested before they are the driver's.
const maxDepth = 256
