package mongodb

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Collection is a collection of an app's database. Its methods are those of the driver's
// collection that the stores use, except that each ends after requestTimeout at the latest.
// Only CreateIndexes may take longer.
//
// The driver has a timeout for each call as well, but ignores it if the context has a
// deadline, as the context of every request does. The stores therefore have no access to
// the driver's collection.
//
// A Collection is safe for concurrent use.
type Collection struct {
	driver  *mongo.Collection
	timeout time.Duration // of each call
}

// Name returns the name of the collection.
func (c *Collection) Name() string { return c.driver.Name() }

// beside returns another collection of the same database.
func (c *Collection) beside(name string) *Collection {
	return &Collection{driver: c.driver.Database().Collection(name), timeout: c.timeout}
}

// bounded returns the context of a call.
func (c *Collection) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.timeout)
}

// FindOne returns the first document that matches.
func (c *Collection) FindOne(ctx context.Context, filter any, opts ...options.Lister[options.FindOneOptions]) *mongo.SingleResult {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	found := c.driver.FindOne(ctx, filter, opts...)
	_ = found.Err() // keeps the document in found, which no longer needs the context
	return found
}

// FindEach calls fn with each document that matches. The document is valid until fn
// returns. FindEach returns the first error of fn. The time that fn takes counts against
// the timeout.
func (c *Collection) FindEach(ctx context.Context, filter any, fn func(bson.Raw) error, opts ...options.Lister[options.FindOptions]) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	cursor, err := c.driver.Find(ctx, filter, opts...)
	if err != nil {
		return err
	}
	defer c.close(ctx, cursor)
	for cursor.Next(ctx) {
		if err := fn(cursor.Current); err != nil {
			return err
		}
	}
	return cursor.Err()
}

// close frees a cursor, even if ctx has ended. It does nothing if all documents were read.
func (c *Collection) close(ctx context.Context, cursor *mongo.Cursor) {
	ctx, cancel := c.bounded(context.WithoutCancel(ctx))
	defer cancel()
	_ = cursor.Close(ctx) // the server closes cursors that are not used
}

// CountDocuments returns the number of documents that match.
func (c *Collection) CountDocuments(ctx context.Context, filter any, opts ...options.Lister[options.CountOptions]) (int64, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return c.driver.CountDocuments(ctx, filter, opts...)
}

// InsertOne inserts a document.
func (c *Collection) InsertOne(ctx context.Context, document any, opts ...options.Lister[options.InsertOneOptions]) (*mongo.InsertOneResult, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return c.driver.InsertOne(ctx, document, opts...)
}

// InsertMany inserts the documents of a slice.
func (c *Collection) InsertMany(ctx context.Context, documents any, opts ...options.Lister[options.InsertManyOptions]) (*mongo.InsertManyResult, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return c.driver.InsertMany(ctx, documents, opts...)
}

// UpdateOne updates the first document that matches.
func (c *Collection) UpdateOne(ctx context.Context, filter, update any, opts ...options.Lister[options.UpdateOneOptions]) (*mongo.UpdateResult, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return c.driver.UpdateOne(ctx, filter, update, opts...)
}

// ReplaceOne replaces the first document that matches.
func (c *Collection) ReplaceOne(ctx context.Context, filter, replacement any, opts ...options.Lister[options.ReplaceOptions]) (*mongo.UpdateResult, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return c.driver.ReplaceOne(ctx, filter, replacement, opts...)
}

// BulkWrite sends several writes in one command for each kind of write.
func (c *Collection) BulkWrite(ctx context.Context, writes []mongo.WriteModel, opts ...options.Lister[options.BulkWriteOptions]) (*mongo.BulkWriteResult, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return c.driver.BulkWrite(ctx, writes, opts...)
}

// DeleteMany deletes all documents that match.
func (c *Collection) DeleteMany(ctx context.Context, filter any, opts ...options.Lister[options.DeleteManyOptions]) (*mongo.DeleteResult, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	return c.driver.DeleteMany(ctx, filter, opts...)
}

// CreateIndexes creates the indexes that do not exist. It returns an error if an index
// exists with different keys or options. It waits until the indexes are built, which takes
// minutes for a collection with millions of documents, so only ctx limits it.
func (c *Collection) CreateIndexes(ctx context.Context, indexes []mongo.IndexModel) error {
	_, err := c.driver.Indexes().CreateMany(ctx, indexes)
	return err
}
