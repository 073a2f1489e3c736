package e2e_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"boxoffice/tools/mongolite/server"
)

// TestConditionalDecrementNeverOversells lets 1,600 concurrent buyers compete for
// 1,000 items. The server must evaluate the filter of a conditional decrement
// under the write lock.
func TestConditionalDecrementNeverOversells(t *testing.T) {
	const buyers, stock = 1600, 1000
	db := connect(t, serve(t, server.Config{}).Addr()).Database("shop")
	ctx := deadline(t)
	decrements := map[string]func(coll *mongo.Collection) (bool, error){
		"updateOne": func(coll *mongo.Collection) (bool, error) {
			res, err := coll.UpdateOne(ctx, bson.D{{"_id", 1}, {"a", bson.D{{"$gt", 0}}}}, bson.D{{"$inc", bson.D{{"a", -1}, {"sold", 1}}}})
			return err == nil && res.MatchedCount == 1 && res.ModifiedCount == 1, err
		},
		"findAndModify": func(coll *mongo.Collection) (bool, error) {
			err := coll.FindOneAndUpdate(ctx, bson.D{{"_id", 1}, {"a", bson.D{{"$gt", 0}}}}, bson.D{{"$inc", bson.D{{"a", -1}, {"sold", 1}}}}).Err()
			if errors.Is(err, mongo.ErrNoDocuments) {
				return false, nil
			}
			return err == nil, err
		},
		"pipeline": func(coll *mongo.Collection) (bool, error) {
			res, err := coll.UpdateOne(ctx, bson.D{{"_id", 1}, {"a", bson.D{{"$gt", 0}}}}, mongo.Pipeline{
				{{"$set", bson.D{{"a", bson.D{{"$subtract", bson.A{"$a", 1}}}}, {"sold", bson.D{{"$add", bson.A{"$sold", 1}}}}}}}})
			return err == nil && res.ModifiedCount == 1, err
		},
	}
	for name, buy := range decrements {
		t.Run(name, func(t *testing.T) {
			coll := db.Collection(name)
			_, err := coll.InsertOne(ctx, bson.D{{"_id", 1}, {"a", stock}, {"sold", 0}})
			must(t, err)
			var sold, refused atomic.Int64
			parallel(buyers, func(int) {
				switch ok, err := buy(coll); {
				case err != nil:
					t.Error(err)
				case ok:
					sold.Add(1)
				default:
					refused.Add(1)
				}
			})
			var doc struct{ A, Sold int64 }
			must(t, coll.FindOne(ctx, bson.D{{"_id", 1}}).Decode(&doc))
			if sold.Load() != stock || refused.Load() != buyers-stock || doc.A != 0 || doc.Sold != stock {
				t.Errorf("got %d sold, %d refused and the document %+v; want %d, %d and {A:0 Sold:%d}", sold.Load(), refused.Load(), doc, stock, buyers-stock, stock)
			}
		})
	}
}

// TestConcurrentUpsertsInsertOneDocument runs concurrent upserts of the same
// document, which they select by _id or by a unique field. Exactly one must
// insert it. The others must update it or fail with a duplicate key error.
func TestConcurrentUpsertsInsertOneDocument(t *testing.T) {
	const documents, writers = 50, 16
	db := connect(t, serve(t, server.Config{}).Addr()).Database("upserts")
	ctx := deadline(t)
	for _, key := range []string{"_id", "email"} {
		t.Run(key, func(t *testing.T) {
			coll := db.Collection("by" + key)
			if key != "_id" {
				_, err := coll.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.D{{key, 1}}, Options: options.Index().SetUnique(true).SetSparse(true)})
				must(t, err)
			}
			for n := range documents {
				want := fmt.Sprint("k", n)
				update := bson.D{{"$inc", bson.D{{"n", 1}}}}
				var inserted, updated, refused atomic.Int64
				parallel(writers, func(i int) {
					if i%2 == 0 {
						res, err := coll.UpdateOne(ctx, bson.D{{key, want}}, update, options.UpdateOne().SetUpsert(true))
						switch {
						case mongo.IsDuplicateKeyError(err):
							refused.Add(1)
						case err != nil:
							t.Error(err)
						case res.UpsertedCount == 1:
							inserted.Add(1)
						case res.MatchedCount == 1:
							updated.Add(1)
						}
						return
					}
					var before bson.M
					err := coll.FindOneAndUpdate(ctx, bson.D{{key, want}}, update, options.FindOneAndUpdate().SetUpsert(true)).Decode(&before)
					switch {
					case errors.Is(err, mongo.ErrNoDocuments): // no document existed before
						inserted.Add(1)
					case mongo.IsDuplicateKeyError(err):
						refused.Add(1)
					case err != nil:
						t.Error(err)
					default:
						updated.Add(1)
					}
				})
				var docs []struct{ N int64 }
				cur, err := coll.Find(ctx, bson.D{{key, want}})
				must(t, err)
				must(t, cur.All(ctx, &docs))
				if len(docs) != 1 || inserted.Load() != 1 || docs[0].N != 1+updated.Load() || inserted.Load()+updated.Load()+refused.Load() != writers {
					t.Fatalf("document %d: got %d inserted, %d updated, %d refused and the documents %v; want one document, one insert and a count of each update", n, inserted.Load(), updated.Load(), refused.Load(), docs)
				}
			}
			checkIndexes(t, coll)
		})
	}
}

// TestFailedWriteLeavesNoIndexEntry runs concurrent writes of documents with two
// unique fields. The documents share the value of one field and differ in the
// other. Exactly one write must succeed. The others must leave no entry in either
// index, so that the values of their other field stay free.
func TestFailedWriteLeavesNoIndexEntry(t *testing.T) {
	const rounds, writers = 16, 8
	db := connect(t, serve(t, server.Config{}).Addr()).Database("two")
	ctx := deadline(t)
	writes := map[string]func(coll *mongo.Collection, doc bson.D) error{
		"insert": func(coll *mongo.Collection, doc bson.D) error {
			_, err := coll.InsertOne(ctx, doc)
			return err
		},
		"insertMany": func(coll *mongo.Collection, doc bson.D) error {
			_, err := coll.InsertMany(ctx, []any{doc}, options.InsertMany().SetOrdered(false))
			return err
		},
		"upsert": func(coll *mongo.Collection, doc bson.D) error {
			_, err := coll.UpdateOne(ctx, doc[:1], bson.D{{"$setOnInsert", doc[1:]}}, options.UpdateOne().SetUpsert(true))
			return err
		},
		"update": func(coll *mongo.Collection, doc bson.D) error {
			if _, err := coll.InsertOne(ctx, doc[:1]); err != nil {
				return err
			}
			_, err := coll.UpdateOne(ctx, doc[:1], bson.D{{"$set", doc[1:]}})
			if err != nil {
				if _, err := coll.DeleteOne(ctx, doc[:1]); err != nil {
					return err
				}
			}
			return err
		},
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			coll := db.Collection(name)
			for _, field := range []string{"a", "b"} {
				_, err := coll.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.D{{field, 1}}, Options: options.Index().SetUnique(true).SetSparse(true)})
				must(t, err)
			}
			for round := range rounds {
				shared, other := "a", "b"
				if round%2 == 1 {
					shared, other = other, shared
				}
				doc := func(i int) bson.D {
					return bson.D{{"_id", fmt.Sprint(round, "-", i)}, {shared, fmt.Sprint("shared", round)}, {other, fmt.Sprint(round, "-", i)}}
				}
				var won atomic.Int64
				winner := make(chan int, writers)
				parallel(writers, func(i int) {
					switch err := write(coll, doc(i)); {
					case err == nil:
						won.Add(1)
						winner <- i
					case !mongo.IsDuplicateKeyError(err):
						t.Error(err)
					}
				})
				if won.Load() != 1 {
					t.Fatalf("round %d: got %d successful writes, want 1", round, won.Load())
				}
				first := <-winner
				for i := range writers {
					d := doc(i)
					_, err := coll.InsertOne(ctx, bson.D{{"_id", fmt.Sprint("again", round, "-", i)}, d[2]})
					if i == first && !mongo.IsDuplicateKeyError(err) {
						t.Fatalf("round %d: insert of %v, which the successful write holds: got %v, want a duplicate key error", round, d[2], err)
					}
					if i != first && err != nil {
						t.Fatalf("round %d: insert of %v, which a failed write wanted: got %v, want success", round, d[2], err)
					}
				}
			}
			checkIndexes(t, coll)
		})
	}
}

// TestUniqueIndexHoldsWhileValuesMove moves a few unique values between documents
// concurrently. No two documents may ever have the same value.
func TestUniqueIndexHoldsWhileValuesMove(t *testing.T) {
	const docs, values, moves = 8, 4, 150
	coll := connect(t, serve(t, server.Config{}).Addr()).Database("swap").Collection("seats")
	ctx := deadline(t)
	_, err := coll.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: bson.D{{"seat", 1}}, Options: options.Index().SetUnique(true).SetSparse(true)})
	must(t, err)
	for i := range docs {
		_, err := coll.InsertOne(ctx, bson.D{{"_id", i}})
		must(t, err)
	}
	parallel(docs, func(i int) {
		for n := range moves {
			var err error
			switch n % 3 {
			case 0, 1:
				_, err = coll.UpdateOne(ctx, bson.D{{"_id", i}}, bson.D{{"$set", bson.D{{"seat", (i + n) % values}}}})
			default:
				_, err = coll.UpdateOne(ctx, bson.D{{"_id", i}}, bson.D{{"$unset", bson.D{{"seat", ""}}}})
			}
			if err != nil && !mongo.IsDuplicateKeyError(err) {
				t.Error(err)
			}
		}
	})
	checkIndexes(t, coll)
}
