package server

import (
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// writeConcern is what a client wants to wait for. A write is always on this
// member's disk before it is answered, so w 0, 1 and majority and any j are
// met; more members than the one there is cannot be.
// https://www.mongodb.com/docs/manual/reference/write-concern/
type writeConcern struct {
	unmet bson.D // the writeConcernError, nil when met
}

func (c *call) readConcerns() error {
	wc, err := c.doc("writeConcern")
	if err != nil {
		return err
	}
	if wc != nil && !c.cmd.writes && c.name != "aggregate" {
		return mongoerr.New(mongoerr.InvalidOptions, "Command does not support writeConcern")
	}
	for _, e := range wc {
		switch e.Key {
		case "w":
			if err := c.concern.readW(e.Value); err != nil {
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
			return mongoerr.New(mongoerr.FailedToParse, "readConcern level '%v' is not known", e.Value)
		}
	}
	return nil
}

func (w *writeConcern) readW(v any) error {
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

func concernError(code int32, name, message string) bson.D {
	return bson.D{{Key: "code", Value: code}, {Key: "codeName", Value: name}, {Key: "errmsg", Value: message}}
}

// writeConcernError returns the reply's fields about a write concern that was
// not met, or that a fail point says was not.
func (c *call) writeConcernError() bson.D {
	if c.cmd == nil || !c.writes() {
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
