package server

import (
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
)

// serverStatus returns the counters that the server keeps, a subset of MongoDB's.
// https://www.mongodb.com/docs/manual/reference/command/serverStatus/
func serverStatus(c *call) (bson.D, error) {
	c.s.mu.Lock()
	open := len(c.s.conns)
	c.s.mu.Unlock()
	up := time.Since(c.s.started)
	return bson.D{
		{Key: "host", Value: c.s.Addr()},
		{Key: "version", Value: version},
		{Key: "process", Value: "mongolite"},
		{Key: "uptime", Value: up.Truncate(time.Second).Seconds()},
		{Key: "uptimeMillis", Value: up.Milliseconds()},
		{Key: "localTime", Value: primitive.NewDateTimeFromTime(time.Now())},
		{Key: "connections", Value: bson.D{
			{Key: "current", Value: int32(open)},
			{Key: "totalCreated", Value: c.s.connIDs.Load()},
		}},
		{Key: "network", Value: bson.D{{Key: "numRequests", Value: c.s.requests.Load()}}},
	}, nil
}
