package storage

import (
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/codec"
)

// StatementResult is the recorded result of one statement of a retryable write.
// The store writes it in the same batch as the changes of the statement, so a
// retry finds both or neither.
// https://github.com/mongodb/specifications/blob/master/source/retryable-writes/retryable-writes.md
type StatementResult struct {
	Session   string    `bson:"-"` // the 16 bytes of lsid.id
	Statement int       `bson:"-"` // the index of the statement in its command
	Txn       int64     `bson:"n"` // the txnNumber
	At        time.Time `bson:"t"`
	Result    bson.Raw  `bson:"r"`
}

// sessionKey returns the key prefix of the session's results. It contains the
// length of the id, so that no session's prefix is a prefix of another's.
func sessionKey(session string) []byte {
	return append([]byte{tagResult, byte(len(session))}, session...)
}

// PutResult adds r to the batch of tx. It replaces the result of the statement
// with the same index in an earlier write of the session.
func (tx *Tx) PutResult(r StatementResult) error {
	raw, err := codec.Marshal(bson.D{{Key: "n", Value: r.Txn}, {Key: "t", Value: primitive.NewDateTimeFromTime(r.At)}, {Key: "r", Value: r.Result}})
	if err != nil {
		return err
	}
	key := binary.BigEndian.AppendUint32(sessionKey(r.Session), uint32(r.Statement))
	return tx.batch.Set(key, raw, nil)
}

// Results calls fn for every stored result.
func (s *Store) Results(fn func(StatementResult)) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tagResult}, UpperBound: []byte{tagResult + 1}})
	if err != nil {
		return err
	}
	defer func() { _ = it.Close() }() // it.Error below returns the same error
	for it.First(); it.Valid(); it.Next() {
		var r StatementResult
		if err := bson.Unmarshal(it.Value(), &r); err != nil {
			return err
		}
		key := it.Key()
		r.Session = string(key[2 : 2+key[1]])
		r.Statement = int(binary.BigEndian.Uint32(key[2+key[1]:]))
		fn(r)
	}
	return it.Error()
}

// Result returns the result of one statement of the session's write with the
// txnNumber txn. It returns nil if no such result is stored.
func (s *Store) Result(session string, txn int64, statement int) (bson.Raw, error) {
	raw, err := get(s.db, binary.BigEndian.AppendUint32(sessionKey(session), uint32(statement)))
	if raw == nil || err != nil {
		return nil, err
	}
	var r StatementResult
	if err := bson.Unmarshal(raw, &r); err != nil || r.Txn != txn {
		return nil, err
	}
	return r.Result, nil
}

// DeleteResults deletes all results of a session.
func (s *Store) DeleteResults(session string) error {
	b := s.db.NewBatch()
	prefix := sessionKey(session)
	if err := b.DeleteRange(prefix, prefixEnd(prefix), nil); err != nil {
		return err
	}
	return s.apply(b)
}
