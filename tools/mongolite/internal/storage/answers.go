package storage

import (
	"encoding/binary"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/codec"
)

// Answer is the recorded result of one statement of a retryable write. The
// store writes it in the same batch as the changes of the statement, so a retry
// finds both or neither.
// https://github.com/mongodb/specifications/blob/master/source/retryable-writes/retryable-writes.md
type Answer struct {
	Session   string    `bson:"-"` // the bytes of the lsid
	Statement int       `bson:"-"` // the index of the statement in its command
	Txn       int64     `bson:"n"` // the txnNumber
	At        time.Time `bson:"t"`
	Result    bson.Raw  `bson:"r"`
}

// sessionKey returns the key prefix of the session's answers. It contains the
// length of the id, so that no session's prefix is a prefix of another's.
func sessionKey(session string) []byte {
	return append([]byte{tagAnswer, byte(len(session))}, session...)
}

// PutAnswer adds the answer to the batch of tx. It replaces the answer of the
// session's previous write to the statement with the same index.
func (tx *Tx) PutAnswer(a Answer) error {
	raw, err := codec.Marshal(bson.D{{Key: "n", Value: a.Txn}, {Key: "t", Value: primitive.NewDateTimeFromTime(a.At)}, {Key: "r", Value: a.Result}})
	if err != nil {
		return err
	}
	key := binary.BigEndian.AppendUint32(sessionKey(a.Session), uint32(a.Statement))
	return tx.batch.Set(key, raw, nil)
}

// Answers calls fn for every stored answer.
func (s *Store) Answers(fn func(Answer)) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{tagAnswer}, UpperBound: []byte{tagAnswer + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	for it.First(); it.Valid(); it.Next() {
		var a Answer
		if err := bson.Unmarshal(it.Value(), &a); err != nil {
			return err
		}
		key := it.Key()
		a.Session = string(key[2 : 2+key[1]])
		a.Statement = int(binary.BigEndian.Uint32(key[2+key[1]:]))
		fn(a)
	}
	return it.Error()
}

// Answer returns the result of a statement of the session's write txn. It
// returns nil if that statement has not been executed.
func (s *Store) Answer(session string, txn int64, statement int) (bson.Raw, error) {
	raw, err := get(s.db, binary.BigEndian.AppendUint32(sessionKey(session), uint32(statement)))
	if raw == nil || err != nil {
		return nil, err
	}
	var a Answer
	if err := bson.Unmarshal(raw, &a); err != nil || a.Txn != txn {
		return nil, err
	}
	return a.Result, nil
}

// ForgetSession deletes all answers of a session.
func (s *Store) ForgetSession(session string) error {
	b := s.db.NewBatch()
	prefix := sessionKey(session)
	if err := b.DeleteRange(prefix, prefixEnd(prefix), nil); err != nil {
		return err
	}
	return s.apply(b)
}
