// Package codec converts between BSON and bson.D. Its results are identical to
// those of the driver's bson package: the same Go types and the same bytes.
//
// It is much faster than the driver because it switches on the type of each
// value; the driver looks up a codec in a registry and uses reflection. If a
// document is malformed or contains a rare type, the package passes the whole
// document to the driver. Error messages are therefore the driver's as well.
//
// The format is defined in https://bsonspec.org/spec.html
package codec

import "go.mongodb.org/mongo-driver/bson"

// Unmarshal decodes raw. The returned document shares no memory with raw.
func Unmarshal(raw []byte) (bson.D, error) {
	if doc, ok := decode(raw); ok {
		return doc, nil
	}
	var doc bson.D
	err := bson.Unmarshal(raw, &doc)
	return doc, err
}

// Marshal returns the BSON encoding of doc.
func Marshal(doc bson.D) ([]byte, error) {
	if raw, ok := appendDocument(make([]byte, 0, 512), doc, 0); ok {
		return raw, nil
	}
	return bson.Marshal(doc)
}

// maxDepth is the deepest nesting that this package handles. It passes deeper
// documents to the driver.
const maxDepth = 256
