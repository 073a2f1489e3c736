package server

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/storage"
)

// A session is not forgotten while a write of it runs, however the two meet.
// It stands inside the package because no client can see when a write begins.
func TestRemoveKeepsSessionsWithRunningWrite(t *testing.T) {
	s, err := Start(Config{Listen: "127.0.0.1:0", Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	coll, _, err := s.store.Create("d.c", nil)
	if err != nil {
		t.Fatal(err)
	}
	const id = "0123456789abcdef"
	stop := make(chan struct{})
	var rounds atomic.Int64
	var forgetting sync.WaitGroup
	forgetting.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for i := range 200 { // so that forgetting them takes a while
				unlock, _, err := s.sessions.begin(fmt.Sprintf("%016d", i), 1)
				if err != nil {
					t.Error(err)
					return
				}
				unlock()
			}
			if err := s.sessions.remove(s.store, func(string, *session) bool { return true }); err != nil {
				t.Error(err)
				return
			}
			rounds.Add(1)
		}
	})
	for txn := range int64(20) {
		unlock, _, err := s.sessions.begin(id, txn)
		if err != nil {
			t.Fatal(err)
		}
		err = coll.Write(func(tx *storage.Tx) error {
			return tx.PutAnswer(storage.Answer{Session: id, Txn: txn, At: time.Now(), Result: bson.Raw{5, 0, 0, 0, 0}})
		})
		if err != nil {
			t.Fatal(err)
		}
		for was := rounds.Load(); rounds.Load() == was && !t.Failed(); { // whoever was at it has ended
			runtime.Gosched()
		}
		if answer, err := s.store.Answer(id, txn, 0); answer == nil || err != nil {
			t.Errorf("write %d: its answer is gone while it runs: %v", txn, err)
		}
		unlock()
	}
	close(stop)
	forgetting.Wait()
}
