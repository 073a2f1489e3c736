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

// call is one execution of a command.
type call struct {
	*conn
	name string // the command's name as the client spelled it
	cmd  *command
	db   string
	body bson.D
	seqs []wire.Sequence
	vars *query.Vars

	deadline time.Time // set by maxTimeMS; zero means none

	session     string // the 16 bytes of lsid.id; empty means no session
	txnNumber   int64
	isRetryable bool // the client sent a txnNumber
	isRetry     bool // an earlier call began the same txnNumber

	concern      writeConcern
	majorityRead bool
	linearizable bool
	fault        *commandFault // the fail point that applies, or nil
	closeConn    bool          // a fail point closes the connection after the write
	wroteOutput  bool          // an aggregation ran $out or $merge
	interrupter  *interrupter
}

// isWrite reports whether the reply must wait until the changes are on disk.
func (c *call) isWrite() bool { return c.cmd.isWrite || c.wroteOutput }

// interrupter decides whether reading a cursor continues. Its reader is the
// command that currently reads the cursor: first the command that opened it,
// later each getMore.
type interrupter struct {
	reader *call
	killed atomic.Bool // set when another command kills the cursor
}

// check returns an error if the cursor was killed or its reader is interrupted.
func (s *interrupter) check() error {
	if s.killed.Load() {
		return mongoerr.New(mongoerr.CursorKilled, "the cursor was killed")
	}
	return s.reader.interrupted()
}

// run executes a request and returns the encoded reply. It returns errCloseConn
// if a fail point closes the connection instead.
func (c *conn) run(req *wire.Request) ([]byte, error) {
	call := &call{conn: c, db: req.Database, seqs: req.Sequences}
	call.interrupter = &interrupter{reader: call}
	reply, err := call.execute(req)
	if errors.Is(err, errCloseConn) || call.closeConn {
		return nil, errCloseConn
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

// marshalReply encodes a reply. If that fails, it encodes an InternalError reply.
func marshalReply(reply bson.D) []byte {
	raw, err := codec.Marshal(reply)
	if err != nil {
		raw, _ = bson.Marshal(errorReply(mongoerr.New(mongoerr.InternalError, "cannot encode the reply: %v", err), nil))
	}
	return raw
}

// execute parses the request, applies fail points and runs the command. Unless
// the client expects no reply, a write or a majority read returns only after
// everything it saw is on disk.
func (c *call) execute(req *wire.Request) (bson.D, error) {
	if err := wire.Validate(req); err != nil {
		return nil, invalidBSON(err)
	}
	var err error
	if c.body, err = codec.Unmarshal(req.Body); err != nil {
		return nil, mongoerr.New(22, "%v", err)
	}
	if len(c.body) == 0 {
		return nil, mongoerr.New(mongoerr.CommandNotFound, "the command document is empty")
	}
	c.name = c.body[0].Key
	c.cmd = c.s.commands[c.name]
	if c.cmd == nil || c.name == "configureFailPoint" && !c.s.cfg.TestCommands {
		return nil, mongoerr.New(mongoerr.CommandNotFound, "no such command: '%s'", c.name)
	}
	if req.Database != "" && !c.cmd.isHandshake {
		return nil, mongoerr.New(352, "Unsupported OP_QUERY command: %s. The client driver may require an upgrade.", c.name)
	}
	if err := c.parseGenericFields(); err != nil {
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
	if err := c.applyFailCommand(); err != nil {
		return nil, err
	}
	if c.isRetryable {
		unlock, isNew, err := c.s.sessions.begin(c.session, c.txnNumber)
		if err != nil {
			return nil, err
		}
		defer unlock()
		c.isRetry = !isNew
	}
	reply, err := c.cmd.run(c)
	if (c.isWrite() || c.majorityRead) && !req.MoreToCome {
		// A command that failed or changed nothing must sync too: its reply
		// reveals what other clients wrote. With one member, data is
		// majority-committed once it is on disk.
		err = errors.Join(err, c.s.store.Sync())
	}
	return reply, err
}

var errTimeout = mongoerr.New(mongoerr.MaxTimeMSExpired, "operation exceeded time limit")

// interrupted returns an error if the server is closing or maxTimeMS has
// elapsed, and nil otherwise.
func (c *call) interrupted() error {
	switch {
	case c.s.ctx.Err() != nil:
		return mongoerr.New(mongoerr.InterruptedAtShutdown, "interrupted at shutdown")
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		return errTimeout
	}
	return nil
}

// invalidBSON converts an error of wire.Validate to a MongoDB error. A
// *mongoerr.Error stays as it is; anything else becomes code 22, InvalidBSON.
func invalidBSON(err error) error {
	var mongoErr *mongoerr.Error
	if errors.As(err, &mongoErr) {
		return mongoErr
	}
	return mongoerr.New(22, "%v", err)
}

// errorReply returns the reply to a command that failed. Its error labels tell
// drivers which commands they may retry.
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

// internalError returns an InternalError with the value of a recovered panic.
func internalError(r any) *mongoerr.Error {
	return mongoerr.New(mongoerr.InternalError, "%s", fmt.Sprint(r))
}

func stack() string { return string(debug.Stack()) }
