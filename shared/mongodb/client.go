// Package mongodb contains what the apps' MongoDB stores share: the connection, the
// conversion of the driver's errors, commands that batch concurrent reads and writes,
// and the outbox inside documents.
package mongodb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"boxoffice/shared/apperr"
)

const (
	connectTimeout = 5 * time.Second // for each new connection, and for the choice of a server
	requestTimeout = 5 * time.Second // for each call of a Collection
)

// Config identifies a store's database.
type Config struct {
	URI      string
	Database string
	Monitor  *event.CommandMonitor // may be nil
}

// Client holds the connections of one app. It is safe for concurrent use.
type Client struct {
	db      *mongo.Database
	timeout time.Duration // of each call
}

// Connect returns a client, which connects when it is first used. Its writes are
// acknowledged by a majority of the servers. It reads from the primary, and reads only what
// a majority has acknowledged: its own writes, and never a write that the failure of a
// server could undo. The server's log shows app as the client's name.
func Connect(cfg Config, app string) (*Client, error) {
	client, err := mongo.Connect(options.Client().ApplyURI(cfg.URI).
		SetAppName(app).
		SetMonitor(cfg.Monitor).
		SetConnectTimeout(connectTimeout).
		SetServerSelectionTimeout(connectTimeout).
		SetReadPreference(readpref.Primary()).
		SetReadConcern(readconcern.Majority()).
		SetWriteConcern(writeconcern.Majority()))
	if err != nil {
		return nil, fmt.Errorf("mongodb: %w", err)
	}
	return &Client{db: client.Database(cfg.Database), timeout: requestTimeout}, nil
}

// Collection returns a collection of the database. The server creates the collection when
// the first document is inserted.
func (c *Client) Collection(name string) *Collection {
	return &Collection{driver: c.db.Collection(name), timeout: c.timeout}
}

// Ping returns an error if the database does not answer within requestTimeout.
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.db.Client().Ping(ctx, nil)
}

// Close closes the connections.
func (c *Client) Close(ctx context.Context) error { return c.db.Client().Disconnect(ctx) }

// WrapError converts an error of the driver, which must not be nil, and adds the name of
// the operation. It returns an apperr.Unreachable that wraps err. If err wraps a context
// error, because the caller's context ended or the operation timed out, WrapError keeps
// it, so that apperr.From can classify it.
//
// Do not pass duplicate key errors: their texts contain values of the documents.
func WrapError(operation string, err error) error {
	err = fmt.Errorf("mongodb: %s: %w", operation, err)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	return apperr.Unreachable(err)
}
