package server

import (
	"slices"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// failPoints holds the state of the fail points. Fail points are MongoDB's
// switches for injecting faults in tests.
// https://github.com/mongodb/mongo/wiki/The-%22failCommand%22-fail-point
// https://github.com/mongodb/specifications/blob/master/source/transactions/tests/legacy-test-format.md
type failPoints struct {
	mu          sync.Mutex
	commandMode failPointMode // of failCommand
	command     commandFault
	writeMode   failPointMode // of onPrimaryTransactionalWrite
	write       writeFault
}

// failPointMode decides which commands trigger a fail point. If always is set, all
// commands do. If times is n, only the next n commands do. If skip is n, the next n
// commands do not, and all later ones do. The zero value is off.
type failPointMode struct {
	always      bool
	times, skip int64
}

// triggers reports whether the fail point applies to the current command. It also
// advances the counters times and skip.
func (m *failPointMode) triggers() bool {
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

// commandFault holds the settings of the fail point failCommand: the commands that
// it applies to, and what it does to them.
type commandFault struct {
	commands          []string
	appName           string
	code              int64
	labels            bson.A // nil means the labels that the code implies
	closeConn         bool
	block             time.Duration
	writeConcernError bson.D
}

// writeFault describes what the fail point onPrimaryTransactionalWrite does to a
// retryable write. If code is not 0, the write fails before it commits. If
// closeConn is set, the connection is closed without a reply in either case.
type writeFault struct {
	closeConn bool
	code      int64
}

// configureFailPoint sets the mode and data of a fail point.
func configureFailPoint(c *call) (bson.D, error) {
	m, err := parseFailPointMode(c)
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
		fault, err := parseFailCommand(data)
		if err != nil {
			return nil, err
		}
		fp.mu.Lock()
		fp.commandMode, fp.command = m, fault
		fp.mu.Unlock()
	case "onPrimaryTransactionalWrite":
		if err := checkFields("data", data, []string{"closeConnection", "failBeforeCommitExceptionCode"}, nil); err != nil {
			return nil, err
		}
		var fault writeFault
		if fault.closeConn, err = flag("data", data, "closeConnection", true); err != nil {
			return nil, err
		}
		if fault.code, err = integer("data", data, "failBeforeCommitExceptionCode", 0); err != nil {
			return nil, err
		}
		fp.mu.Lock()
		fp.writeMode, fp.write = m, fault
		fp.mu.Unlock()
	default:
		return nil, mongoerr.Unsupported("the fail point %v", c.body[0].Value)
	}
	return nil, nil
}

// parseFailPointMode reads the field mode of configureFailPoint.
func parseFailPointMode(c *call) (m failPointMode, err error) {
	v, _ := c.get("mode")
	switch v := v.(type) {
	case string:
		if v != "off" && v != "alwaysOn" {
			return m, mongoerr.New(mongoerr.BadValue, "the mode of a fail point must be off, alwaysOn or a document, got '%s'", v)
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

// parseFailCommand reads the field data of configureFailPoint for failCommand.
func parseFailCommand(data bson.D) (f commandFault, err error) {
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
			f.closeConn, err = flag("data", data, e.Key, false)
		case "blockConnection": // read together with blockTimeMS
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
		case "failInternalCommands": // the server sends itself no commands
		default:
			err = mongoerr.Unsupported("data.%s of failCommand", e.Key)
		}
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

// applyFailCommand applies the fail point failCommand to the command. It blocks
// for as long as the fail point demands and returns the error with which the
// command must fail, if any.
func (c *call) applyFailCommand() error {
	fp := &c.s.failPoints
	fp.mu.Lock()
	isThis := func(name string) bool { return c.s.commands[name] == c.cmd } // aliases share a *command
	matches := c.name != "configureFailPoint" && slices.ContainsFunc(fp.command.commands, isThis) &&
		(fp.command.appName == "" || fp.command.appName == c.appName)
	if !matches || !fp.commandMode.triggers() {
		fp.mu.Unlock()
		return nil
	}
	f := fp.command
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
	case f.closeConn:
		return errCloseConn
	case f.code != 0:
		return mongoerr.New(mongoerr.Code(f.code), "Failing command via 'failCommand' failpoint")
	}
	return c.interrupted()
}

// beforeCommit applies the fail point onPrimaryTransactionalWrite to a retryable
// write that is about to commit. It returns the error with which the write must
// fail, if any.
func (c *call) beforeCommit() error {
	if !c.isRetryable {
		return nil
	}
	fp := &c.s.failPoints
	fp.mu.Lock()
	defer fp.mu.Unlock()
	if !fp.writeMode.triggers() {
		return nil
	}
	c.closeConn = c.closeConn || fp.write.closeConn
	if fp.write.code != 0 {
		return mongoerr.New(mongoerr.Code(fp.write.code), "failing before commit via 'onPrimaryTransactionalWrite' failpoint")
	}
	return nil
}

// retryableCodes lists the error codes after which drivers retry a write.
// https://github.com/mongodb/specifications/blob/master/source/retryable-writes/retryable-writes.md#determining-retryable-errors
var retryableCodes = []int32{6, 7, 89, 91, 134, 189, 262, 317, 358, 384, 9001, 10107, 11600, 11602, 13435, 13436}

// labels returns the error labels of a reply that carries code. The call may be
// nil; it then has no labels.
func (c *call) labels(code int32) bson.A {
	switch {
	case c == nil || c.cmd == nil:
		return nil
	case c.fault != nil && c.fault.labels != nil:
		return c.fault.labels
	case c.isRetryable && slices.Contains(retryableCodes, code):
		return bson.A{"RetryableWriteError"}
	}
	return nil
}
