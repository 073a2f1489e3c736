package server

import (
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// writeConcern is the durability that a client requests for a write. The replica
// set has one member, and the server replies to a write after it is on that
// member's disk. This satisfies w: 0, w: 1, w: "majority" and any value of j. A
// larger w cannot be satisfied.
// https://www.mongodb.com/docs/manual/reference/write-concern/
type writeConcern struct {
	unmet bson.D // the writeConcernError of the reply; nil if satisfied
}

// parseConcerns reads the command's writeConcern and readConcern.
func (c *call) parseConcerns() error {
	wc, err := c.doc("writeConcern")
	if err != nil {
		return err
	}
	if wc != nil && !c.cmd.isWrite && c.name != "aggregate" {
		return mongoerr.New(mongoerr.InvalidOptions, "Command does not support writeConcern")
	}
	for _, e := range wc {
		switch e.Key {
		case "w":
			if err := c.concern.parseW(e.Value); err != nil {
				return err
			}
		case "j", "fsync", "wtimeout", "provenance":
		default:
			return mongoerr.New(mongoerr.UnknownField, "BSON field 'writeConcern.%s' is an unknown field.", e.Key)
		}
	}
	rc, err := c.doc("readConcern")
	if err != nil {
		return err
	}
	for _, e := range rc {
		if e.Key == "provenance" {
			continue
		}
		if e.Key != "level" {
			return mongoerr.Unsupported("readConcern.%s", e.Key)
		}
		switch e.Value {
		case "local", "available":
		case "majority":
			c.majorityRead = true
		case "linearizable":
			c.majorityRead, c.linearizable = true, true
		case "snapshot":
			return mongoerr.Unsupported("readConcern level snapshot")
		default:
			return mongoerr.New(mongoerr.FailedToParse, "readConcern.level must be local, available, majority or linearizable, got '%v'", e.Value)
		}
	}
	return nil
}

// parseW reads the value of w. It sets w.unmet if the value is valid but cannot be
// satisfied.
func (w *writeConcern) parseW(v any) error {
	switch v := v.(type) {
	case string:
		if v != "majority" {
			w.unmet = concernError(79, "UnknownReplWriteConcern", "No write concern mode named '"+v+"' found in replica set configuration")
		}
	case int32, int64, float64:
		n, err := integer("writeConcern", bson.D{{Key: "w", Value: v}}, "w", 1)
		if err != nil || n > 50 {
			return mongoerr.New(mongoerr.FailedToParse, "w has to be a non-negative number and not greater than 50; found: %v", v)
		}
		if n > 1 {
			w.unmet = concernError(100, "UnsatisfiableWriteConcern", "Not enough data-bearing nodes")
		}
	default:
		return mongoerr.Unsupported("writeConcern.w of type %s", typeName(v))
	}
	return nil
}

// concernError returns a writeConcernError document.
func concernError(code int32, name, message string) bson.D {
	return bson.D{{Key: "code", Value: code}, {Key: "codeName", Value: name}, {Key: "errmsg", Value: message}}
}

// writeConcernError returns the reply fields for a write concern that was not
// satisfied, or that a fail point reports as not satisfied. It returns nil if
// there is no such error.
func (c *call) writeConcernError() bson.D {
	if c.cmd == nil || !c.isWrite() {
		return nil
	}
	unmet := c.concern.unmet
	if c.fault != nil && c.fault.writeConcernError != nil {
		unmet = c.fault.writeConcernError
	}
	if unmet == nil {
		return nil
	}
	fields := bson.D{{Key: "writeConcernError", Value: unmet}}
	code, _ := integer("writeConcernError", unmet, "code", 0)
	if labels := c.labels(int32(code)); len(labels) > 0 {
		fields = append(fields, bson.E{Key: "errorLabels", Value: labels})
	}
	return fields
}
