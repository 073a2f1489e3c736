package server

import (
	"crypto/sha256"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/codec"
	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/storage"
)

// sessionLife is how long a session that is not used is kept.
// https://www.mongodb.com/docs/manual/reference/server-sessions/
const sessionLife = 30 * time.Minute

// sessions knows the latest retryable write of each session, so that a
// repetition finds the first answer and an older one is refused.
// https://github.com/mongodb/specifications/blob/master/source/retryable-writes/retryable-writes.md
type sessions struct {
	mu   sync.Mutex
	byID map[string]*session
}

type session struct {
	// running is held while a retryable write runs: its repetition over
	// another connection waits for it.
	running sync.Mutex
	txn     int64
	used    time.Time
}

func (s *sessions) load(store *storage.Store) error {
	s.byID = map[string]*session{}
	return store.Answers(func(a storage.Answer) {
		known := s.byID[a.Session]
		if known == nil {
			known = &session{}
			s.byID[a.Session] = known
		}
		known.txn = max(known.txn, a.Txn)
		if a.At.After(known.used) {
			known.used = a.At
		}
	})
}

// begin waits for the session's write under way and makes txn its latest. It
// returns whether txn is new, and so nothing of it was answered yet, and
// TransactionTooOld for one before the latest.
func (s *sessions) begin(id string, txn int64) (unlock func(), isNew bool, err error) {
	known := s.lock(id)
	if txn < known.txn {
		known.running.Unlock()
		return nil, false, mongoerr.New(mongoerr.TransactionTooOld,
			"Retryable write with txnNumber %d is prohibited on the session because a newer retryable write with txnNumber %d has already started on it", txn, known.txn)
	}
	isNew = txn > known.txn
	known.txn = txn
	return known.running.Unlock, isNew, nil
}

// lock returns the session with no other write under way.
func (s *sessions) lock(id string) *session {
	for {
		s.mu.Lock()
		known := s.byID[id]
		if known == nil {
			known = &session{}
			s.byID[id] = known
		}
		known.used = time.Now()
		s.mu.Unlock()
		known.running.Lock()
		s.mu.Lock()
		kept := s.byID[id] == known
		s.mu.Unlock()
		if kept {
			return known
		}
		known.running.Unlock() // it was forgotten meanwhile
	}
}

// forget deletes sessions and their answers.
func (s *sessions) forget(store *storage.Store, drop func(id string, known *session) bool) error {
	s.mu.Lock()
	going := map[string]*session{}
	for id, known := range s.byID {
		if drop(id, known) && known.running.TryLock() {
			going[id] = known // no write of it begins until it is gone
		}
	}
	s.mu.Unlock()
	var err error
	for id, known := range going {
		if err == nil {
			err = store.ForgetSession(id)
		}
		if err == nil {
			s.mu.Lock()
			delete(s.byID, id)
			s.mu.Unlock()
		}
		known.running.Unlock()
	}
	return err
}

func (s *sessions) refresh(ids map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range ids {
		if known := s.byID[id]; known != nil {
			known.used = time.Now()
		}
	}
}

func (s *sessions) forgetIdle(store *storage.Store, now time.Time) error {
	return s.forget(store, func(_ string, known *session) bool { return now.Sub(known.used) > sessionLife })
}

// anonymous is the digest of no user's name, which sessions carry without
// authentication.
var anonymous = sha256.Sum256(nil)

// withSessions puts the sessions that have written, and the command's own, in
// the place of a leading $listLocalSessions of an aggregation on a database.
// https://www.mongodb.com/docs/manual/reference/operator/aggregation/listLocalSessions/
func (c *call) withSessions(stages bson.A) (bson.A, error) {
	if len(stages) == 0 {
		return stages, nil
	}
	first, _ := stages[0].(bson.D)
	if len(first) != 1 || first[0].Key != "$listLocalSessions" {
		return stages, nil
	}
	if _, named := c.body[0].Value.(string); named {
		return nil, mongoerr.New(mongoerr.InvalidNamespace, "$listLocalSessions must be run against the database with {aggregate: 1}, not a collection")
	}
	if options, ok := first[0].Value.(bson.D); !ok || len(options) > 0 {
		return nil, mongoerr.Unsupported("the options of $listLocalSessions")
	}
	used := map[string]time.Time{}
	if c.session != "" {
		used[c.session] = time.Now()
	}
	c.s.sessions.mu.Lock()
	for id, known := range c.s.sessions.byID {
		used[id] = known.used
	}
	c.s.sessions.mu.Unlock()
	docs := bson.A{}
	for id, at := range used {
		docs = append(docs, bson.D{
			{Key: "_id", Value: bson.D{
				{Key: "id", Value: primitive.Binary{Subtype: 4, Data: []byte(id)}},
				{Key: "uid", Value: primitive.Binary{Data: anonymous[:]}},
			}},
			{Key: "lastUse", Value: primitive.NewDateTimeFromTime(at)},
		})
	}
	return append(bson.A{bson.D{{Key: "$documents", Value: docs}}}, stages[1:]...), nil
}

// named returns the sessions that the command lists.
func (c *call) named() (map[string]bool, error) {
	ids := map[string]bool{}
	list, ok := c.body[0].Value.(bson.A)
	if !ok {
		return nil, wrongType(c.name, c.body[0].Value, list)
	}
	for _, item := range list {
		lsid, ok := item.(bson.D)
		if !ok {
			return nil, wrongType(c.name, item, lsid)
		}
		id, err := sessionID(lsid)
		if err != nil {
			return nil, err
		}
		ids[id] = true
	}
	return ids, nil
}

func endSessions(c *call) (bson.D, error) {
	ended, err := c.named()
	if err != nil {
		return nil, err
	}
	return nil, c.s.sessions.forget(c.s.store, func(id string, _ *session) bool { return ended[id] })
}

func refreshSessions(c *call) (bson.D, error) {
	ids, err := c.named()
	if err != nil {
		return nil, err
	}
	c.s.sessions.refresh(ids)
	return nil, nil
}

// killSessions closes the cursors of the sessions; a statement under way ends
// by itself. https://www.mongodb.com/docs/manual/reference/command/killSessions/
func killSessions(c *call) (bson.D, error) {
	ids, err := c.named()
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return killAllSessions(c)
	}
	c.s.cursors.kill(func(cur *cursor) bool { return ids[cur.session] })
	return nil, nil
}

func killAllSessions(c *call) (bson.D, error) {
	if users, ok := c.body[0].Value.(bson.A); !ok || len(users) > 0 {
		return nil, mongoerr.Unsupported("users (%s)", c.name)
	}
	c.s.cursors.kill(func(cur *cursor) bool { return cur.session != "" })
	return nil, nil
}

// answered returns what statement i of the command answered before, nil if it
// has not been run or the command is no repetition.
func (c *call) answered(i int) (result bson.D, err error) {
	if !c.repeats {
		return nil, nil
	}
	raw, err := c.s.store.Answer(c.session, c.txn, i)
	if raw == nil || err != nil {
		return nil, err
	}
	return codec.Unmarshal(raw)
}

// keep writes what statement i answers into the batch of what it changed.
func (c *call) keep(tx *storage.Tx, i int, result bson.D) error {
	if !c.retry {
		return nil
	}
	raw, err := codec.Marshal(result)
	if err != nil {
		return err
	}
	return tx.PutAnswer(storage.Answer{Session: c.session, Statement: i, Txn: c.txn, At: time.Now(), Result: raw})
}

// statement runs fn, one statement of a write, under the collection's write
// lock, unless a repetition finds its answer. A nil collection has nothing to
// find, and fn is run with a nil Tx.
func (c *call) statement(i int, coll *storage.Collection, fn func(*storage.Tx) (bson.D, error)) (bson.D, error) {
	if result, err := c.answered(i); result != nil || err != nil {
		return result, err
	}
	if coll == nil {
		return fn(nil)
	}
	var result bson.D
	err := coll.Write(func(tx *storage.Tx) (err error) {
		if result, err = fn(tx); err != nil {
			return err
		}
		if err := c.keep(tx, i, result); err != nil {
			return err
		}
		return c.beforeCommit()
	})
	if err != nil { // nothing of it was done
		return nil, err
	}
	return result, nil
}
