package e2e_test

import (
	"fmt"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// rawWriter sends retryable writes by hand, one txnNumber after another, and
// after a kill the last of them again.
type rawWriter struct {
	session  bson.ObjectID
	txn      int64
	first    any // the first answer to the last write, nil while there is none
	repeated int // how often a write without an answer was sent again
}

// command returns the write of a txnNumber, by turns of each kind. Both
// counters come to the txnNumber if each write is carried out once.
func (r *rawWriter) command() bson.D {
	update := bson.D{{"$inc", bson.D{{"n", 1}}}, {"$set", bson.D{{"m", r.txn}}}}
	query := bson.D{{"_id", 1}, {"n", r.txn - 1}} // matches but once
	lsid := bson.D{{"id", bson.Binary{Subtype: 4, Data: append(make([]byte, 4), r.session[:]...)}}}
	cmd := bson.D{{"findAndModify", "raw"}, {"query", query}, {"update", update}, {"new", true}}
	if r.txn%2 == 0 {
		cmd = bson.D{{"update", "raw"}, {"updates", bson.A{bson.D{{"q", query}, {"u", update}}}}}
	}
	return append(cmd, bson.D{{"lsid", lsid}, {"txnNumber", r.txn}, {"$db", "kill"}}...)
}

// outcome returns what matters of a reply, the same for each repetition.
func outcome(reply bson.M) any {
	return fmt.Sprint(reply["ok"], reply["n"], reply["nModified"], reply["value"], reply["lastErrorObject"], reply["writeErrors"])
}

func (r *rawWriter) run(addr string, dead *atomic.Bool) {
	c, err := dial(addr)
	if err != nil {
		return
	}
	defer c.Close()
	for !dead.Load() {
		r.txn, r.first = r.txn+1, nil
		reply, err := c.ask(r.command())
		if err != nil {
			return
		}
		r.first = outcome(reply)
	}
}

// settle repeats the last write and expects the first answer, whether it came
// before the kill or not, and the write to have been carried out once.
func (r *rawWriter) settle(addr string) error {
	if r.txn == 0 {
		return nil
	}
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if r.first == nil {
		r.repeated++
	}
	for range 2 {
		reply, err := c.ask(r.command())
		if err != nil {
			return err
		}
		if r.first == nil {
			r.first = outcome(reply)
		}
		if got := outcome(reply); got != r.first {
			return fmt.Errorf("write %d was answered %v, again %v", r.txn, r.first, got)
		}
	}
	reply, err := c.ask(bson.D{{"find", "raw"}, {"filter", bson.D{{"_id", 1}, {"n", r.txn}, {"m", r.txn}}}, {"$db", "kill"}})
	if err != nil {
		return err
	}
	if batch := reply["cursor"].(bson.D)[0].Value.(bson.A); len(batch) != 1 {
		return fmt.Errorf("%d writes were not carried out once each: %v", r.txn, reply)
	}
	return nil
}
