// Package mongodb is what the apps' stores in MongoDB have in common: how they
// connect, what becomes of the driver's errors, how writes and reads that come
// together share a command, and the outbox that their documents hold.
package mongodb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"boxoffice/shared/apperr"
)

const (
	connectWithin = 5 * time.Second
	answerWithin  = 5 * time.Second
)

// Config is where a store's documents are.
type Config struct {
	URI      string
	Database string
	Monitor  *event.CommandMonitor // may be nil
}

// Client is the connections of one app. It is safe for concurrent use.
type Client struct {
	DB     *mongo.Database
	client *mongo.Client
}

// Connect returns a client that connects when it is first used. What it has
// written a majority of the servers keep, and it reads its own writes.
func Connect(cfg Config, app string) (*Client, error) {
	client, err := mongo.Connect(options.Client().ApplyURI(cfg.URI).
		SetAppName(app).
		SetMonitor(cfg.Monitor).
		SetServerSelectionTimeout(connectWithin).
		SetTimeout(answerWithin).
		SetReadPreference(readpref.Primary()).
		SetWriteConcern(writeconcern.Majority()))
	if err != nil {
		return nil, fmt.Errorf("mongodb: %w", err)
	}
	return &Client{DB: client.Database(cfg.Database), client: client}, nil
}

// Ping asks whether the database answers.
func (c *Client) Ping(ctx context.Context) error { return c.client.Ping(ctx, nil) }

// Close ends the connections.
func (c *Client) Close(ctx context.Context) error { return c.client.Disconnect(ctx) }

// WrapError is what a service makes of an error of the driver's. Pass none about a
// duplicate, which would name what is in the documents.
func WrapError(what string, err error) error {
	err = fmt.Errorf("mongodb: %s: %w", what, err)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	return apperr.Unreachable(err)
}
