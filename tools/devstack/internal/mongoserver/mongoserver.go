// Package mongoserver prepares a MongoDB server for use. It checks whether the
// server accepts writes, and initiates a replica set of one member on a mongod that
// has none yet.
package mongoserver

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// ReplicaSet is the name of the replica set.
const ReplicaSet = "rs0"

// alreadyInitialized is MongoDB's error code for a second replSetInitiate.
const alreadyInitialized = 23

// Args returns the arguments of a mongod that listens on the loopback interface
// only and waits to be initiated as a replica set.
func Args(port, dir string) []string {
	return []string{"--bind_ip", "127.0.0.1", "--port", port, "--dbpath", dir, "--replSet", ReplicaSet, "--quiet"}
}

// URI returns the connection string for a server at addr. It connects directly,
// since there is no other member to discover.
func URI(addr string) string { return "mongodb://" + addr + "/?directConnection=true" }

// Ready returns nil if the server at addr accepts writes. If a mongod waits for its
// replica set to be initiated, Ready initiates it and returns an error; a later call
// finds the server ready.
func Ready(ctx context.Context, addr string) (err error) {
	client, err := mongo.Connect(options.Client().ApplyURI(URI(addr)))
	if err != nil {
		return fmt.Errorf("connect to mongodb: %w", err)
	}
	defer func() { err = errors.Join(err, client.Disconnect(context.WithoutCancel(ctx))) }()

	admin := client.Database("admin")
	var hello struct {
		Writable     bool `bson:"isWritablePrimary"`
		IsReplicaSet bool `bson:"isreplicaset"` // true until the replica set is initiated
	}
	if err := admin.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello); err != nil {
		return fmt.Errorf("mongodb hello: %w", err)
	}
	if hello.Writable {
		return nil
	}
	if !hello.IsReplicaSet {
		return fmt.Errorf("mongodb at %s does not accept writes yet", addr)
	}
	return initiate(ctx, admin, addr)
}

// initiate makes the server the only member of its replica set. The member has the
// loopback address, so that the set does not depend on the machine's name.
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
	return fmt.Errorf("mongodb at %s elects its primary", addr)
}
