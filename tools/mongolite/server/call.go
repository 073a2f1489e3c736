package server

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/codec"
	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
	"boxoffice/tools/mongolite/internal/wire"
)

// call is one command being run.
type call struct {
	*conn
	name string // of the command, as the client wrote it
	cmd  *command
	db   string
	body bson.D
	seqs []wire.Sequence
	vars *query.Vars

	deadline time.Time // that maxTimeMS sets, zero without

	session string // the bytes of the lsid, empty without
	txn     int64  // the txnNumber of a retryable write
	retry   bool
	repeats bool // one with that txnNumber was begun before

	concern      writeConcern
	majorityRead bool
	linearizable bool
	fault        *failCommand
	hangUp       bool // a fail point cuts the connection behind the write
	wrote        bool // an aggregate with $out or $merge did
	stop         *stopper
}

func (c *call) writes() bool { return c.cmd.writes || c.wrote }

// stopper asks the command that reads a cursor now whether to go on: the one
// that opened it, later each getMore.
type stopper struct {
	reader *call
	killed atomic.Bool // by another command
}

func (s *stopper) check() error {
	if s.killed.Load() {
		return mongoerr.New(mongoerr.CursorKilled, "the cursor was killed")
	}
	return s.reader.interrupted()
}

func (c *conn) run(req *wire.Request) ([]byte, error) {
	call := &call{conn: c, db: req.Database, seqs: req.Sequences}
	call.stop = &stopper{reader: call}
	reply, err := call.do(req)
	if errors.Is(err, errHangUp) || call.hangUp {
		return nil, errHangUp
	}
	if err != nil {
		reply = errorReply(mongoerr.From(err), call)
	} else {
		reply = append(reply, bson.E{Key: "ok", Value: 1.0})
	}
	if wce := call.writeConcernError(); wce != nil && err == nil {
		reply = append(reply, wce...)
	}
	return marshalReply(reply), nil
}

func marshalReply(reply bson.D) []byte {
	raw, err := codec.Marshal(reply)
	if err != nil {
		raw, _ = bson.Marshal(errorReply(mongoerr.New(mongoerr.InternalError, "encode the reply: %v", err), nil))
	}
	return raw
}

func (c *call) do(req *wire.Request) (bson.D, error) {
	if err := wire.Validate(req); err != nil {
		return nil, invalidBSON(err)
	}
	var err error
	if c.body, err = codec.Unmarshal(req.Body); err != nil {
		return nil, mongoerr.New(22, "%v", err)
	}
	if len(c.body) == 0 {
		return nil, mongoerr.New(mongoerr.CommandNotFound, "no command")
	}
	c.name = c.body[0].Key
	c.cmd = c.s.commands[c.name]
	if c.cmd == nil || c.name == "configureFailPoint" && !c.s.cfg.TestCommands {
		return nil, mongoerr.New(mongoerr.CommandNotFound, "no such command: '%s'", c.name)
	}
	if req.Database != "" && !c.cmd.handshake {
		return nil, mongoerr.New(352, "Unsupported OP_QUERY command: %s. The client driver may require an upgrade.", c.name)
	}
	if err := c.readGeneric(); err != nil {
		return nil, err
	}
	timeout, err := c.integer("maxTimeMS", 0)
	if err != nil {
		return nil, err
	}
	if timeout > math.MaxInt32 {
		return nil, mongoerr.New(mongoerr.BadValue, "%d value for maxTimeMS is out of range [0, %d]", timeout, math.MaxInt32)
	}
	if timeout > 0 {
		c.deadline = time.Now().Add(time.Duration(timeout) * time.Millisecond)
	}
	if err := c.inject(); err != nil {
		return nil, err
	}
	if c.retry {
		unlock, isNew, err := c.s.sessions.begin(c.session, c.txn)
		if err != nil {
			return nil, err
		}
		defer unlock()
		c.repeats = !isNew
	}
	reply, err := c.cmd.run(c)
	if (c.writes() || c.majorityRead) && !req.MoreToCome {
		// Also behind a failure or a statement that found nothing to do: the
		// client learns of what others wrote. What a majority has is what is on
		// disk.
		err = errors.Join(err, c.s.store.Sync())
	}
	return reply, err
}

var errTimeout = mongoerr.New(mongoerr.MaxTimeMSExpired, "operation exceeded time limit")

// interrupted returns the error of a command whose time is over or whose
// server closes, nil else.
func (c *call) interrupted() error {
	switch {
	case c.s.ctx.Err() != nil:
		return mongoerr.New(mongoerr.InterruptedAtShutdown, "interrupted at shutdown")
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		return errTimeout
	}
	return nil
}

func invalidBSON(err error) error {
	var refused *mongoerr.Error
	if errors.As(err, &refused) {
		return refused
	}
	return mongoerr.New(22, "%v", err)
}

// errorReply is the reply of a command that failed. The labels tell drivers
// what they may send again.
func errorReply(e *mongoerr.Error, c *call) bson.D {
	reply := bson.D{
		{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: e.Message},
		{Key: "code", Value: int32(e.Code)}, {Key: "codeName", Value: e.Code.Name()},
	}
	if labels := c.labels(int32(e.Code)); len(labels) > 0 {
		reply = append(reply, bson.E{Key: "errorLabels", Value: labels})
	}
	return append(reply, e.Details...)
}

func internal(r any) *mongoerr.Error {
	return mongoerr.New(mongoerr.InternalError, "%s", fmt.Sprint(r))
}

func stack() string { return string(debug.Stack()) }
