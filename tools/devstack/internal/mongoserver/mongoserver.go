// Package mongoserver makes a MongoDB server ready for use: it waits for one
// that takes writes, and forms a replica set of one where that is missing.
package mongoserver

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// ReplicaSet is the name of the replica set of one.
const ReplicaSet = "rs0"

// alreadyInitialized is the server's error code for a second replSetInitiate.
const alreadyInitialized = 23

// Args are those of a mongod that listens at the port on the loopback interface
// only and is to become a replica set of one.
func Args(port, dir string) []string {
	return []string{"--bind_ip", "127.0.0.1", "--port", port, "--dbpath", dir, "--replSet", ReplicaSet, "--quiet"}
}

// URI is the connection string for a server at addr. It is addressed directly:
// there is no other member to find.
func URI(addr string) string { return "mongodb://" + addr + "/?directConnection=true" }

// Ready reports whether the server at addr takes writes. A mongod that waits to
// be told its replica set is told; it is ready some moments later.
func Ready(ctx context.Context, addr string) (err error) {
	client, err := mongo.Connect(options.Client().ApplyURI(URI(addr)))
	if err != nil {
		return fmt.Errorf("connect to mongodb: %w", err)
	}
	defer func() { err = errors.Join(err, client.Disconnect(context.WithoutCancel(ctx))) }()

	admin := client.Database("admin")
	var hello struct {
		Writable     bool `bson:"isWritablePrimary"`
		IsReplicaSet bool `bson:"isreplicaset"` // true while it waits for its configuration
	}
	if err := admin.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		return fmt.Errorf("mongodb hello: %w", err)
	}
	if hello.Writable {
		return nil
	}
	if !hello.IsReplicaSet {
		return fmt.Errorf("mongodb at %s takes no writes yet", addr)
	}
	return initiate(ctx, admin, addr)
}

// initiate makes the server the only member of its replica set, under its
// loopback address, so that the name of the machine does not matter.
func initiate(ctx context.Context, admin *mongo.Database, addr string) error {
	config := bson.D{
		{Key: "_id", Value: ReplicaSet},
		{Key: "members", Value: bson.A{bson.D{{Key: "_id", Value: 0}, {Key: "host", Value: addr}}}},
	}
	err := admin.RunCommand(ctx, bson.D{{Key: "replSetInitiate", Value: config}}).Err()
	var cmdErr mongo.CommandError
	if errors.As(err, &cmdErr) && cmdErr.Code == alreadyInitialized {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("initiate the replica set: %w", err)
	}
	return fmt.Errorf("mongodb at %s elects itself", addr)
}
