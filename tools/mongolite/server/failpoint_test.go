package server_test

import (
	"fmt"
	"testing"
	"time"
)

// setFailCommand sets the mode and data of the fail point failCommand.
func (p *rawConn) setFailCommand(mode, data string) {
	p.t.Helper()
	p.expect(fmt.Sprintf(`{"configureFailPoint": "failCommand", "mode": %s, "data": %s}`, mode, data), `{"ok": 1}`)
}

const modeAlways = `"alwaysOn"`

func TestFailCommandModes(t *testing.T) {
	p := dial(t, startServer(t))
	fails, works := `{"ok": 0, "code": 11602, "codeName": "InterruptedDueToReplStateChange", "errmsg": "Failing command via 'failCommand' failpoint"}`, `{"ok": 1}`
	checkMode := func(mode string, outcomes ...string) {
		t.Helper()
		p.setFailCommand(mode, `{"failCommands": ["ping"], "errorCode": 11602}`)
		for _, want := range outcomes {
			p.expect(`{"ping": 1}`, want)
			p.expect(`{"buildInfo": 1}`, works) // not listed: it neither fails nor counts
		}
	}
	checkMode(`{"times": 2}`, fails, fails, works, works)
	checkMode(modeAlways, fails, fails, fails)
	checkMode(`"off"`, works)
	checkMode(`{"skip": 2}`, works, works, fails, fails)
	checkMode(`{"skip": 0}`, fails)
	checkMode(`{"times": 0}`, works)
	p.expectAll([][2]string{
		{`{"configureFailPoint": "failCommand", "mode": "nonsense"}`, `{"ok": 0, "code": 2}`},
		{`{"configureFailPoint": "failCommand", "mode": 1}`, `{"ok": 0, "code": 14}`},
		{`{"configureFailPoint": "failCommand"}`, `{"ok": 0, "code": 14}`},
		{`{"configureFailPoint": "failCommand", "mode": {"activationProbability": 0.5}}`, `{"ok": 0, "code": 238}`},
		{`{"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": {"threadName": "x"}}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support data.threadName of failCommand"}`},
		{`{"configureFailPoint": "failCommand", "mode": "alwaysOn", "data": {"failCommands": [1]}}`, `{"ok": 0, "code": 14}`},
		{`{"configureFailPoint": "nonsense", "mode": "off"}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support the fail point nonsense"}`},
		{`{"configureFailPoint": "onPrimaryTransactionalWrite", "mode": "off", "data": {"nonsense": 1}}`, `{"ok": 0, "code": 40415}`},
		{`{"ping": 1}`, works},
	}...)
	// A fail point matches a command under all of its aliases. It never applies to
	// configureFailPoint, so it can always be turned off. hello and isMaster are
	// separate commands.
	p.setFailCommand(modeAlways, `{"failCommands": ["findandmodify", "configureFailPoint"], "errorCode": 91}`)
	p.expect(`{"findAndModify": "c", "remove": true}`, `{"ok": 0, "code": 91}`)
	p.setFailCommand(`"off"`, `{}`)
	p.expect(`{"findAndModify": "c", "remove": true}`, works)
	p.setFailCommand(modeAlways, `{"failCommands": ["hello"], "errorCode": 91}`)
	p.expect(`{"hello": 1}`, `{"code": 91}`)
	p.expect(`{"isMaster": 1}`, works)
}

func TestFailCommandErrorLabels(t *testing.T) {
	p := dial(t, startServer(t))
	insert := `{"insert": "c", "documents": [{"_id": 1}]}`
	retryableError := `{"ok": 0, "errorLabels": ["RetryableWriteError"]}`
	p.setFailCommand(modeAlways, `{"failCommands": ["insert"], "errorCode": 91}`)
	p.expect(asRetryable(t, insert, 1, 1), retryableError)
	p.expect(insert, `{"ok": 0, "errorLabels": "absent"}`) // not a retryable write
	p.setFailCommand(modeAlways, `{"failCommands": ["insert"], "errorCode": 8}`)
	p.expect(asRetryable(t, insert, 1, 1), `{"ok": 0, "errorLabels": "absent"}`)
	p.setFailCommand(modeAlways, `{"failCommands": ["insert"], "errorCode": 8, "errorLabels": ["RetryableWriteError", "Other"]}`)
	p.expect(insert, `{"ok": 0, "errorLabels": ["RetryableWriteError", "Other"]}`)
	p.setFailCommand(modeAlways, `{"failCommands": ["insert"], "errorCode": 91, "errorLabels": []}`)
	p.expect(asRetryable(t, insert, 1, 1), `{"ok": 0, "errorLabels": "absent"}`)
	p.expect(`{"count": "c"}`, `{"n": 0}`)
	// The write takes effect despite a write concern error.
	p.setFailCommand(`{"times": 1}`, `{"failCommands": ["insert"], "writeConcernError": {"code": 91, "errmsg": "going down", "errInfo": {"x": 1}}}`)
	p.expect(asRetryable(t, insert, 1, 2), `{"ok": 1, "n": 1, "writeConcernError": {"code": 91, "errmsg": "going down", "errInfo": {"x": 1}}, "errorLabels": ["RetryableWriteError"]}`)
	p.expect(asRetryable(t, insert, 1, 2), `{"ok": 1, "n": 1, "writeConcernError": "absent", "errorLabels": "absent"}`)
	p.setFailCommand(`{"times": 1}`, `{"failCommands": ["find"], "writeConcernError": {"code": 91}}`)
	p.expect(`{"find": "c"}`, `{"ok": 1, "writeConcernError": "absent"}`)
}

func TestFailCommandClosesConnection(t *testing.T) {
	s := startServer(t)
	p := dial(t, s)
	p.setFailCommand(`{"times": 1}`, `{"failCommands": ["insert"], "closeConnection": true}`)
	closing := dial(t, s)
	closing.sendCommand(`{"insert": "c", "documents": [{"_id": 1}]}`)
	closing.expectClosed()
	p.expect(`{"count": "c"}`, `{"n": 0}`)
	p.setFailCommand(`{"times": 1}`, `{"failCommands": ["insert"], "closeConnection": false, "errorCode": 91}`)
	p.expect(`{"insert": "c", "documents": [{"_id": 1}]}`, `{"code": 91}`)
}

func TestFailCommandAppliesToAppName(t *testing.T) {
	s := startServer(t)
	p, other := dial(t, s), dial(t, s)
	p.expect(`{"hello": 1, "client": {"application": {"name": "mine"}}}`, `{"ok": 1}`)
	other.expect(`{"hello": 1, "client": {"application": {"name": "other"}}}`, `{"ok": 1}`)
	p.setFailCommand(`{"times": 1}`, `{"failCommands": ["ping"], "appName": "mine", "errorCode": 91}`)
	other.expect(`{"ping": 1}`, `{"ok": 1}`)
	dial(t, s).expect(`{"ping": 1}`, `{"ok": 1}`)
	p.expect(`{"ping": 1}`, `{"code": 91}`)
}

func TestFailCommandBlocksCommand(t *testing.T) {
	s := startServer(t)
	p, other := dial(t, s), dial(t, s)
	p.setFailCommand(`{"times": 1}`, `{"failCommands": ["ping"], "blockConnection": true, "blockTimeMS": 300}`)
	start := time.Now()
	p.sendCommand(`{"ping": 1}`)
	other.expect(`{"buildInfo": 1}`, `{"ok": 1}`)
	p.expectReply(`{"ok": 1}`)
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("blocked command took %s, want at least 300ms", took)
	}
	// Close does not wait for a blocked command.
	p.setFailCommand(modeAlways, `{"failCommands": ["ping"], "blockConnection": true, "blockTimeMS": 600000}`)
	p.sendCommand(`{"ping": 1}`)
	must(t, s.Close())
}

func TestOnPrimaryTransactionalWrite(t *testing.T) {
	s := startServer(t)
	p := dial(t, s)
	setFailPoint := func(data string) {
		t.Helper()
		p.expect(`{"configureFailPoint": "onPrimaryTransactionalWrite", "mode": {"times": 1}, "data": `+data+`}`, `{"ok": 1}`)
	}
	for i, cmd := range []string{
		`{"insert": "c", "documents": [{"_id": 1}, {"_id": 2}]}`,
		`{"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}]}`,
		`{"findAndModify": "c", "query": {"_id": 1}, "update": {"$inc": {"n": 1}}}`,
		`{"delete": "c", "deletes": [{"q": {"_id": 2}, "limit": 1}]}`,
	} {
		txn := int64(10 * i)
		// After the commit: the client does not learn the outcome and retries.
		setFailPoint(`{}`)
		closing := dial(t, s)
		closing.sendCommand(asRetryable(t, cmd, 1, txn))
		closing.expectClosed()
		p.expect(asRetryable(t, cmd, 1, txn), `{"ok": 1, "writeErrors": "absent"}`)
	}
	p.expect(`{"find": "c"}`, `{"cursor": {"firstBatch": [{"_id": 1, "n": 2}]}}`)
	// Before the commit: the write has no effect.
	setFailPoint(`{"failBeforeCommitExceptionCode": 1}`)
	closing := dial(t, s)
	closing.sendCommand(asRetryable(t, `{"insert": "c", "documents": [{"_id": 3}]}`, 1, 100))
	closing.expectClosed()
	p.expect(`{"count": "c"}`, `{"n": 1}`)
	setFailPoint(`{"failBeforeCommitExceptionCode": 91, "closeConnection": false}`)
	p.expect(`{"insert": "c", "documents": [{"_id": 3}]}`, `{"ok": 1, "n": 1}`) // not a retryable write, so the fail point does not apply
	p.expect(asRetryable(t, `{"insert": "c", "documents": [{"_id": 4}]}`, 1, 101), `{"ok": 0, "code": 91, "errorLabels": ["RetryableWriteError"]}`)
	p.expect(asRetryable(t, `{"insert": "c", "documents": [{"_id": 4}]}`, 1, 101), `{"ok": 1, "n": 1}`)
}
