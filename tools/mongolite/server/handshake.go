package server

import (
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/storage"
	"boxoffice/tools/mongolite/internal/wire"
)

// The server's identity and limits. The wire version and the release determine what
// drivers send and which of MongoDB's specification tests apply.
const (
	version        = "7.0.0"
	maxWireVersion = 21
	setName        = "mongolite"
	maxBatch       = 100_000
)

// hello describes the server to a driver. The reply has no topologyVersion, so
// drivers poll the server and do not wait for streamed replies.
// https://www.mongodb.com/docs/manual/reference/command/hello/
func hello(c *call) (bson.D, error) {
	if client, err := c.doc("client"); err != nil {
		return nil, err
	} else if app, _ := lookup(client, "application"); app != nil && c.appName == "" {
		if d, ok := app.(bson.D); ok {
			c.appName, _ = field[string]("application", d, "name")
		}
	}
	me := c.nc.LocalAddr().String()
	primary := "isWritablePrimary"
	if c.name != "hello" {
		primary = "ismaster"
	}
	reply := bson.D{
		{Key: primary, Value: true},
		{Key: "secondary", Value: false},
		{Key: "setName", Value: setName},
		{Key: "setVersion", Value: int32(1)},
		{Key: "hosts", Value: bson.A{me}},
		{Key: "primary", Value: me},
		{Key: "me", Value: me},
		{Key: "maxBsonObjectSize", Value: int32(storage.MaxDocument)},
		{Key: "maxMessageSizeBytes", Value: int32(wire.MaxMessage)},
		{Key: "maxWriteBatchSize", Value: int32(maxBatch)},
		{Key: "localTime", Value: primitive.NewDateTimeFromTime(time.Now())},
		{Key: "logicalSessionTimeoutMinutes", Value: int32(sessionTimeout / time.Minute)},
		{Key: "connectionId", Value: c.id},
		{Key: "minWireVersion", Value: int32(0)},
		{Key: "maxWireVersion", Value: int32(maxWireVersion)},
		{Key: "readOnly", Value: false},
	}
	if ok, _ := c.boolean("helloOk", false); ok {
		reply = append(reply, bson.E{Key: "helloOk", Value: true})
	}
	return reply, nil
}

// ping returns an empty reply.
func ping(*call) (bson.D, error) { return nil, nil }

// buildInfo implements the buildInfo command.
// https://www.mongodb.com/docs/manual/reference/command/buildInfo/
func buildInfo(*call) (bson.D, error) {
	return bson.D{
		{Key: "version", Value: version},
		{Key: "versionArray", Value: bson.A{int32(7), int32(0), int32(0), int32(0)}},
		{Key: "gitVersion", Value: "mongolite"},
		{Key: "modules", Value: bson.A{}},
		{Key: "bits", Value: int32(64)},
		{Key: "maxBsonObjectSize", Value: int32(storage.MaxDocument)},
		{Key: "storageEngines", Value: bson.A{"pebble"}},
	}, nil
}

// getParameter returns the parameters that drivers' test runners read to find out
// what the server allows.
func getParameter(c *call) (bson.D, error) {
	parameters := bson.D{
		{Key: "enableTestCommands", Value: c.s.cfg.TestCommands},
		{Key: "requireApiVersion", Value: false},
	}
	if c.body[0].Value == "*" {
		return parameters, nil
	}
	var reply bson.D
	for _, e := range parameters {
		if _, ok := c.get(e.Key); ok {
			reply = append(reply, e)
		}
	}
	if reply == nil {
		return nil, mongoerr.New(mongoerr.InvalidOptions, "no option found to get")
	}
	return reply, nil
}

// connectionStatus reports that no user is authenticated.
func connectionStatus(*call) (bson.D, error) {
	return bson.D{{Key: "authInfo", Value: bson.D{
		{Key: "authenticatedUsers", Value: bson.A{}}, {Key: "authenticatedUserRoles", Value: bson.A{}},
	}}}, nil
}
