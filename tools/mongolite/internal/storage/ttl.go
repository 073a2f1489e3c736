package storage

import (
	"errors"
	"time"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/codec"
)

// expireBatchSize is the maximum number of documents that Expire deletes in one
// statement. It limits how long other writers wait.
const expireBatchSize = 500

// Expire deletes the documents that have expired at the time now according to
// the TTL indexes, and returns the number of deleted documents. It calls check
// before each statement and stops if check returns an error.
// https://www.mongodb.com/docs/manual/core/index-ttl/
func (s *Store) Expire(now time.Time, check func() error) (deleted int, err error) {
	for _, c := range s.Collections("") {
		for _, ix := range c.Indexes() {
			for more := ix.ExpireAfter != nil; more; {
				if err := check(); err != nil {
					return deleted, err
				}
				n := 0
				err := c.Write(func(tx *Tx) error {
					n, err = tx.expire(ix.Name, now)
					return err
				})
				if errors.Is(err, ErrDropped) {
					break
				}
				if err != nil {
					return deleted, err
				}
				deleted, more = deleted+n, n == expireBatchSize
			}
		}
	}
	return deleted, nil
}

// expire deletes up to expireBatchSize documents that have expired according to
// the TTL index with the given name. Only dates expire, so the scan covers only
// the dates in the index. If a document has an array of dates, it expires with
// the earliest of them.
func (tx *Tx) expire(name string, now time.Time) (int, error) {
	for _, ix := range tx.Indexes() {
		if ix.Name != name || ix.ExpireAfter == nil {
			continue
		}
		due := primitive.NewDateTimeFromTime(now.Add(-time.Duration(*ix.ExpireAfter) * time.Second))
		span, err := Span(nil, ClassBound(bsonkit.Date), Bound{Value: due, After: true}, ix.Columns[0].Reverse)
		if err != nil {
			return 0, err
		}
		scan := tx.Scan(ix, []Range{span}, false)
		n := 0
		for n < expireBatchSize && scan.Next() {
			doc, err := codec.Unmarshal(scan.Raw())
			if err != nil {
				return 0, errors.Join(err, scan.Close())
			}
			if err := tx.Delete(scan.Key(), doc); err != nil {
				return 0, errors.Join(err, scan.Close())
			}
			n++
		}
		return n, errors.Join(scan.Err(), scan.Close())
	}
	return 0, nil
}
