package storage_test

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/storage"
)

// TestIDsAreNotReusedAfterConcurrentIndexBuild checks that the ID of a
// collection that is created during an index build is not allocated again after
// a restart. Otherwise a new collection would contain the documents of the old
// one, and dropping it would delete them.
func TestIDsAreNotReusedAfterConcurrentIndexBuild(t *testing.T) {
	fs := vfs.NewMem()
	open := func() *storage.Store {
		t.Helper()
		s, err := storage.Open(storage.Options{Dir: "data", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	create := func(s *storage.Store, ns string) *storage.Collection {
		t.Helper()
		c, created, err := s.Create(ns, nil)
		if err != nil || !created {
			t.Fatalf("create %s: got created %v, error %v, want true and no error", ns, created, err)
		}
		return c
	}
	key, err := storage.AppendKey(nil, int32(1))
	if err != nil {
		t.Fatal(err)
	}
	s := open()
	full := create(s, "d.full")
	err = full.Write(func(tx *storage.Tx) error {
		for i := range int32(20_000) {
			if err := tx.Insert(bson.D{{Key: "_id", Value: i}, {Key: "x", Value: i}}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	building, built := make(chan struct{}), make(chan error)
	go func() {
		started := false
		_, err := full.CreateIndexes([]storage.IndexSpec{{Name: "x_1", Key: bson.D{{Key: "x", Value: int32(1)}}}}, func() error {
			if !started {
				started = true
				close(building)
				<-built // wait while the test creates another collection
			}
			return nil
		})
		built <- err
	}()
	<-building
	concurrent := create(s, "d.concurrent")
	if err := concurrent.Write(func(tx *storage.Tx) error { return tx.Insert(bson.D{{Key: "_id", Value: int32(1)}}) }); err != nil {
		t.Fatal(err)
	}
	built <- nil
	if err := <-built; err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	for i := range 3 {
		c := create(s, fmt.Sprint("d.later", i))
		if raw, err := c.Find(key); raw != nil || err != nil {
			t.Errorf("find in a new collection: got document %v, error %v, want neither", raw, err)
		}
		if err := s.Drop(c); err != nil {
			t.Fatal(err)
		}
	}
	if raw, err := s.Collection("d.concurrent").Find(key); raw == nil || err != nil {
		t.Errorf("find in the collection created during the build: got document %v, error %v, want a document", raw, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
