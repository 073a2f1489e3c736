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

// sessionTimeout is how long a session is kept after its last use.
// https://www.mongodb.com/docs/manual/reference/server-sessions/
const sessionTimeout = 30 * time.Minute

// sessions records the latest retryable write of each session. A retry of that
// write then gets the stored result, and a retry of an older one is rejected.
// https://github.com/mongodb/specifications/blob/master/source/retryable-writes/retryable-writes.md
type sessions struct {
	mu   sync.Mutex
	byID map[string]*session
}

// session is the state of one session.
type session struct {
	// running is held while a retryable write runs, so that a retry on another
	// connection waits for the write to finish.
	running   sync.Mutex
	txnNumber int64
	lastUsed  time.Time
}

// load reads the sessions that have stored results.
func (s *sessions) load(store *storage.Store) error {
	s.byID = map[string]*session{}
	return store.Results(func(r storage.StatementResult) {
		sess := s.byID[r.Session]
		if sess == nil {
			sess = &session{}
			s.byID[r.Session] = sess
		}
		sess.txnNumber = max(sess.txnNumber, r.Txn)
		if r.At.After(sess.lastUsed) {
			sess.lastUsed = r.At
		}
	})
}

// begin waits until no other write of the session runs. It then makes txn the
// session's latest transaction number. isNew reports whether txn is larger than the
// previous number; if it is, no results are stored for txn yet. begin returns a
// TransactionTooOld error if txn is smaller. The caller must call unlock when the
// write has finished.
func (s *sessions) begin(id string, txn int64) (unlock func(), isNew bool, err error) {
	sess := s.lock(id)
	if txn < sess.txnNumber {
		sess.running.Unlock()
		return nil, false, mongoerr.New(mongoerr.TransactionTooOld,
			"Retryable write with txnNumber %d is prohibited on the session because a newer retryable write with txnNumber %d has already started on it", txn, sess.txnNumber)
	}
	isNew = txn > sess.txnNumber
	sess.txnNumber = txn
	return sess.running.Unlock, isNew, nil
}

// lock returns the session, which it creates if necessary, with running locked.
func (s *sessions) lock(id string) *session {
	for {
		s.mu.Lock()
		sess := s.byID[id]
		if sess == nil {
			sess = &session{}
			s.byID[id] = sess
		}
		sess.lastUsed = time.Now()
		s.mu.Unlock()
		sess.running.Lock()
		s.mu.Lock()
		kept := s.byID[id] == sess
		s.mu.Unlock()
		if kept {
			return sess
		}
		sess.running.Unlock() // remove deleted the session in the meantime
	}
}

// remove deletes the sessions that match and their stored results, except
// sessions with a running retryable write.
func (s *sessions) remove(store *storage.Store, match func(id string, sess *session) bool) error {
	s.mu.Lock()
	locked := map[string]*session{}
	for id, sess := range s.byID {
		if match(id, sess) && sess.running.TryLock() {
			locked[id] = sess // no write of the session can begin now
		}
	}
	s.mu.Unlock()
	var err error
	for id, sess := range locked {
		if err == nil {
			err = store.DeleteResults(id)
		}
		if err == nil {
			s.mu.Lock()
			delete(s.byID, id)
			s.mu.Unlock()
		}
		sess.running.Unlock()
	}
	return err
}

// refresh marks sessions as used now.
func (s *sessions) refresh(ids map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range ids {
		if sess := s.byID[id]; sess != nil {
			sess.lastUsed = time.Now()
		}
	}
}

// removeIdle removes the sessions that have been idle for longer than
// sessionTimeout, except sessions with a running retryable write.
func (s *sessions) removeIdle(store *storage.Store, now time.Time) error {
	return s.remove(store, func(_ string, sess *session) bool { return now.Sub(sess.lastUsed) > sessionTimeout })
}

// anonymousUID is the user digest of sessions without authentication: the SHA-256
// hash of the empty string.
var anonymousUID = sha256.Sum256(nil)

// expandListLocalSessions replaces a leading $listLocalSessions stage with a
// $documents stage. The documents describe the session of the command and all
// sessions with retryable writes.
// https://www.mongodb.com/docs/manual/reference/operator/aggregation/listLocalSessions/
func (c *call) expandListLocalSessions(stages bson.A) (bson.A, error) {
	if len(stages) == 0 {
		return stages, nil
	}
	first, _ := stages[0].(bson.D)
	if len(first) != 1 || first[0].Key != "$listLocalSessions" {
		return stages, nil
	}
	if _, hasCollection := c.body[0].Value.(string); hasCollection {
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
	for id, sess := range c.s.sessions.byID {
		used[id] = sess.lastUsed
	}
	c.s.sessions.mu.Unlock()
	docs := bson.A{}
	for id, at := range used {
		docs = append(docs, bson.D{
			{Key: "_id", Value: bson.D{
				{Key: "id", Value: primitive.Binary{Subtype: 4, Data: []byte(id)}},
				{Key: "uid", Value: primitive.Binary{Data: anonymousUID[:]}},
			}},
			{Key: "lastUse", Value: primitive.NewDateTimeFromTime(at)},
		})
	}
	return append(bson.A{bson.D{{Key: "$documents", Value: docs}}}, stages[1:]...), nil
}

// sessionIDs returns the set of session ids that the command's first field lists.
func (c *call) sessionIDs() (map[string]bool, error) {
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

// endSessions implements the endSessions command.
// https://www.mongodb.com/docs/manual/reference/command/endSessions/
func endSessions(c *call) (bson.D, error) {
	ended, err := c.sessionIDs()
	if err != nil {
		return nil, err
	}
	return nil, c.s.sessions.remove(c.s.store, func(id string, _ *session) bool { return ended[id] })
}

// refreshSessions implements the refreshSessions command.
// https://www.mongodb.com/docs/manual/reference/command/refreshSessions/
func refreshSessions(c *call) (bson.D, error) {
	ids, err := c.sessionIDs()
	if err != nil {
		return nil, err
	}
	c.s.sessions.refresh(ids)
	return nil, nil
}

// killSessions closes the cursors of the given sessions, or of all sessions if the
// list is empty. Of the running commands, it interrupts only a getMore that reads
// one of these cursors.
// https://www.mongodb.com/docs/manual/reference/command/killSessions/
func killSessions(c *call) (bson.D, error) {
	ids, err := c.sessionIDs()
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return killAllSessions(c)
	}
	c.s.cursors.kill(func(cur *cursor) bool { return ids[cur.session] })
	return nil, nil
}

// killAllSessions implements the killAllSessions command.
// https://www.mongodb.com/docs/manual/reference/command/killAllSessions/
func killAllSessions(c *call) (bson.D, error) {
	if users, ok := c.body[0].Value.(bson.A); !ok || len(users) > 0 {
		return nil, mongoerr.Unsupported("users (%s)", c.name)
	}
	c.s.cursors.kill(func(cur *cursor) bool { return cur.session != "" })
	return nil, nil
}

// storedResult returns the result that an earlier call stored for statement i. It
// returns nil if the command is not a retry or if no result is stored. A statement
// that failed has no stored result, so a retry runs it again.
func (c *call) storedResult(i int) (result bson.D, err error) {
	if !c.isRetry {
		return nil, nil
	}
	raw, err := c.s.store.Result(c.session, c.txnNumber, i)
	if raw == nil || err != nil {
		return nil, err
	}
	return codec.Unmarshal(raw)
}

// storeResult adds the result of statement i to tx, so that it commits together
// with the changes. It does nothing if the command is not a retryable write.
func (c *call) storeResult(tx *storage.Tx, i int, result bson.D) error {
	if !c.isRetryable {
		return nil
	}
	raw, err := codec.Marshal(result)
	if err != nil {
		return err
	}
	return tx.PutResult(storage.StatementResult{Session: c.session, Statement: i, Txn: c.txnNumber, At: time.Now(), Result: raw})
}

// runStatement runs fn as statement i of a write, under the collection's write
// lock, and returns its result. A retry returns the stored result instead, if
// there is one. If coll is nil because the collection does not exist, fn runs with
// a nil Tx.
func (c *call) runStatement(i int, coll *storage.Collection, fn func(*storage.Tx) (bson.D, error)) (bson.D, error) {
	if result, err := c.storedResult(i); result != nil || err != nil {
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
		if err := c.storeResult(tx, i, result); err != nil {
			return err
		}
		return c.beforeCommit()
	})
	if err != nil { // nothing was written
		return nil, err
	}
	return result, nil
}
