package server

import (
	"slices"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// failPoints are MongoDB's switches for faults that tests turn on.
// https://github.com/mongodb/mongo/wiki/The-%22failCommand%22-fail-point
// https://github.com/mongodb/specifications/blob/master/source/transactions/tests/legacy-test-format.md
type failPoints struct {
	mu    sync.Mutex
	fail  mode // of failCommand
	what  failCommand
	write mode // of onPrimaryTransactionalWrite
	cut   writeCut
}

// mode says how often a fail point strikes: never at zero, else after skip
// passes times more, or always.
type mode struct {
	always      bool
	times, skip int64
}

func (m *mode) strikes() bool {
	switch {
	case m.always:
		return true
	case m.skip > 0:
		if m.skip--; m.skip == 0 {
			m.always = true
		}
	case m.times > 0:
		m.times--
		return true
	}
	return false
}

// failCommand is what the fail point of this name does to commands.
type failCommand struct {
	commands          []string
	appName           string
	code              int64
	labels            bson.A // nil: as the code implies
	hangUp            bool
	block             time.Duration
	writeConcernError bson.D
}

// writeCut is what onPrimaryTransactionalWrite does to a retryable write: it
// cuts the connection once the write is committed, or before it is if a code
// is given.
type writeCut struct {
	hangUp bool
	code   int64
}

func configureFailPoint(c *call) (bson.D, error) {
	m, err := readMode(c)
	if err != nil {
		return nil, err
	}
	data, err := c.doc("data")
	if err != nil {
		return nil, err
	}
	fp := &c.s.failPoints
	switch c.body[0].Value {
	case "failCommand":
		what, err := readFailCommand(data)
		if err != nil {
			return nil, err
		}
		fp.mu.Lock()
		fp.fail, fp.what = m, what
		fp.mu.Unlock()
	case "onPrimaryTransactionalWrite":
		if err := checkFields("data", data, []string{"closeConnection", "failBeforeCommitExceptionCode"}, nil); err != nil {
			return nil, err
		}
		var cut writeCut
		if cut.hangUp, err = flag("data", data, "closeConnection", true); err != nil {
			return nil, err
		}
		if cut.code, err = integer("data", data, "failBeforeCommitExceptionCode", 0); err != nil {
			return nil, err
		}
		fp.mu.Lock()
		fp.write, fp.cut = m, cut
		fp.mu.Unlock()
	default:
		return nil, mongoerr.Unsupported("the fail point %v", c.body[0].Value)
	}
	return nil, nil
}

func readMode(c *call) (m mode, err error) {
	v, _ := c.get("mode")
	switch v := v.(type) {
	case string:
		if v != "off" && v != "alwaysOn" {
			return m, mongoerr.New(mongoerr.BadValue, "unknown mode of a fail point: %s", v)
		}
		m.always = v == "alwaysOn"
		return m, nil
	case bson.D:
		for _, e := range v {
			switch e.Key {
			case "times":
				m.times, err = integer("mode", v, "times", 0)
			case "skip":
				if m.skip, err = integer("mode", v, "skip", 0); m.skip == 0 {
					m.always = true
				}
			default:
				err = mongoerr.Unsupported("mode.%s of a fail point", e.Key)
			}
			if err != nil {
				return m, err
			}
		}
		return m, nil
	}
	return m, wrongType("configureFailPoint.mode", v, bson.D{})
}

func readFailCommand(data bson.D) (f failCommand, err error) {
	for _, e := range data {
		switch e.Key {
		case "failCommands":
			list, err := field[bson.A]("data", data, e.Key)
			if err != nil {
				return f, err
			}
			for _, item := range list {
				name, ok := item.(string)
				if !ok {
					return f, wrongType("data.failCommands", item, "")
				}
				f.commands = append(f.commands, name)
			}
		case "errorCode":
			f.code, err = integer("data", data, e.Key, 0)
		case "errorLabels":
			f.labels, err = field[bson.A]("data", data, e.Key)
		case "closeConnection":
			f.hangUp, err = flag("data", data, e.Key, false)
		case "blockConnection": // blockTimeMS says how long
		case "blockTimeMS":
			var on bool
			var ms int64
			if on, err = flag("data", data, "blockConnection", false); err == nil && on {
				ms, err = integer("data", data, e.Key, 0)
				f.block = time.Duration(ms) * time.Millisecond
			}
		case "writeConcernError":
			f.writeConcernError, err = field[bson.D]("data", data, e.Key)
		case "appName":
			f.appName, err = field[string]("data", data, e.Key)
		case "failInternalCommands": // there are none
		default:
			err = mongoerr.Unsupported("data.%s of failCommand", e.Key)
		}
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

// inject does to the command what the failCommand fail point asks.
func (c *call) inject() error {
	fp := &c.s.failPoints
	fp.mu.Lock()
	named := func(name string) bool { return c.s.commands[name] == c.cmd } // by any of its names
	hit := c.name != "configureFailPoint" && slices.ContainsFunc(fp.what.commands, named) &&
		(fp.what.appName == "" || fp.what.appName == c.appName)
	if !hit || !fp.fail.strikes() {
		fp.mu.Unlock()
		return nil
	}
	f := fp.what
	c.fault = &f
	fp.mu.Unlock()
	if f.block > 0 {
		block := f.block
		if !c.deadline.IsZero() {
			block = min(block, time.Until(c.deadline))
		}
		select {
		case <-c.s.ctx.Done():
		case <-time.After(block):
		}
	}
	switch {
	case f.hangUp:
		return errHangUp
	case f.code != 0:
		return mongoerr.New(mongoerr.Code(f.code), "Failing command via 'failCommand' failpoint")
	}
	return c.interrupted()
}

// beforeCommit does to a retryable write what onPrimaryTransactionalWrite asks.
func (c *call) beforeCommit() error {
	if !c.retry {
		return nil
	}
	fp := &c.s.failPoints
	fp.mu.Lock()
	defer fp.mu.Unlock()
	if !fp.write.strikes() {
		return nil
	}
	c.hangUp = c.hangUp || fp.cut.hangUp
	if fp.cut.code != 0 {
		return mongoerr.New(mongoerr.Code(fp.cut.code), "failing before commit via 'onPrimaryTransactionalWrite' failpoint")
	}
	return nil
}

// retryable are the codes after which a driver sends a write again.
// https://github.com/mongodb/specifications/blob/master/source/retryable-writes/retryable-writes.md#determining-retryable-errors
var retryable = []int32{6, 7, 89, 91, 134, 189, 262, 317, 358, 384, 9001, 10107, 11600, 11602, 13435, 13436}

// labels returns the error labels of a reply that carries code.
func (c *call) labels(code int32) bson.A {
	switch {
	case c == nil || c.cmd == nil:
		return nil
	case c.fault != nil && c.fault.labels != nil:
		return c.fault.labels
	case c.retry && slices.Contains(retryable, code):
		return bson.A{"RetryableWriteError"}
	}
	return nil
}
