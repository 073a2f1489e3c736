package e2e_test

import (
	"fmt"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// rawWriter sends retryable writes without a driver, with increasing
// txnNumbers. After a kill it sends the last write again.
type rawWriter struct {
	session    bson.ObjectID
	txn        int64 // the txnNumber of the last write
	firstReply any   // the outcome of the last write; nil until a reply arrives
	resent     int   // number of writes that were sent again because no reply had arrived
}

// command returns the write with the current txnNumber: a findAndModify if the
// number is odd, and an update if it is even. If each write takes effect exactly
// once, both counters of the document equal the txnNumber.
func (r *rawWriter) command() bson.D {
	update := bson.D{{"$inc", bson.D{{"n", 1}}}, {"$set", bson.D{{"m", r.txn}}}}
	query := bson.D{{"_id", 1}, {"n", r.txn - 1}} // matches only before the write
	lsid := bson.D{{"id", bson.Binary{Subtype: 4, Data: append(make([]byte, 4), r.session[:]...)}}}
	cmd := bson.D{{"findAndModify", "raw"}, {"query", query}, {"update", update}, {"new", true}}
	if r.txn%2 == 0 {
		cmd = bson.D{{"update", "raw"}, {"updates", bson.A{bson.D{{"q", query}, {"u", update}}}}}
	}
	return append(cmd, bson.D{{"lsid", lsid}, {"txnNumber", r.txn}, {"$db", "kill"}}...)
}

// outcome returns the part of a reply that must be the same when the write is
// sent again.
func outcome(reply bson.M) any {
	return fmt.Sprint(reply["ok"], reply["n"], reply["nModified"], reply["value"], reply["lastErrorObject"], reply["writeErrors"])
}

// run sends one write after another until dead is set or the connection breaks.
func (r *rawWriter) run(addr string, dead *atomic.Bool) {
	c, err := dial(addr)
	if err != nil {
		return
	}
	defer c.Close()
	for !dead.Load() {
		r.txn, r.firstReply = r.txn+1, nil
		reply, err := c.roundTrip(r.command())
		if err != nil {
			return
		}
		r.firstReply = outcome(reply)
	}
}

// settle sends the last write twice more. Each reply must equal the first one,
// even if that arrived before the kill. The write must have taken effect exactly
// once.
func (r *rawWriter) settle(addr string) error {
	if r.txn == 0 {
		return nil
	}
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if r.firstReply == nil {
		r.resent++
	}
	for range 2 {
		reply, err := c.roundTrip(r.command())
		if err != nil {
			return err
		}
		if r.firstReply == nil {
			r.firstReply = outcome(reply)
		}
		if got := outcome(reply); got != r.firstReply {
			return fmt.Errorf("write %d sent again: got %v, want the first reply %v", r.txn, got, r.firstReply)
		}
	}
	reply, err := c.roundTrip(bson.D{{"find", "raw"}, {"filter", bson.D{{"_id", 1}, {"n", r.txn}, {"m", r.txn}}}, {"$db", "kill"}})
	if err != nil {
		return err
	}
	if batch := reply["cursor"].(bson.D)[0].Value.(bson.A); len(batch) != 1 {
		return fmt.Errorf("got %v, want a document whose counters show that %d writes took effect once each", reply, r.txn)
	}
	return nil
}
