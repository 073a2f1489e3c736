package storage_test

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/storage"
)

// What is made while an index is filled keeps its number: after a restart none
// is given out again, so nothing shows up in another collection or goes with it.
func TestNumbersAreUsedOnce(t *testing.T) {
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
		c, made, err := s.Create(ns, nil)
		if err != nil || !made {
			t.Fatalf("create %s: made %v, %v", ns, made, err)
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
	filling, filled := make(chan struct{}), make(chan error)
	go func() {
		started := false
		_, err := full.CreateIndexes([]storage.IndexSpec{{Name: "x_1", Key: bson.D{{Key: "x", Value: int32(1)}}}}, func() error {
			if !started {
				started = true
				close(filling)
				<-filled // another collection is made now
			}
			return nil
		})
		filled <- err
	}()
	<-filling
	between := create(s, "d.between")
	if err := between.Write(func(tx *storage.Tx) error { return tx.Insert(bson.D{{Key: "_id", Value: int32(1)}}) }); err != nil {
		t.Fatal(err)
	}
	filled <- nil
	if err := <-filled; err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	for i := range 3 {
		c := create(s, fmt.Sprint("d.later", i))
		if raw, err := c.Find(key); raw != nil || err != nil {
			t.Errorf("a new collection holds %v, %v", raw, err)
		}
		if err := s.Drop(c); err != nil {
			t.Fatal(err)
		}
	}
	if raw, err := s.Collection("d.between").Find(key); raw == nil || err != nil {
		t.Errorf("the document of another collection is gone: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
