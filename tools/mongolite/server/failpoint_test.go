package server_test

import (
	"fmt"
	"testing"
	"time"
)

// fail sets the fail point failCommand.
func (p *peer) fail(mode, data string) {
	p.t.Helper()
	p.is(fmt.Sprintf(`{"configureFailPoint": "failCommand", "mode": %s, "data": %s}`, mode, data), `{"ok": 1}`)
}

const always = `"alwaysOn"`

func TestFailCommandModes(t *testing.T) {
	p := dial(t, start(t))
	fails, works := `{"ok": 0, "code": 11602, "codeName": "InterruptedDueToReplStateChange", "errmsg": "Failing command via 'failCommand' failpoint"}`, `{"ok": 1}`
	expect := func(mode string, outcomes ...string) {
		t.Helper()
		p.fail(mode, `{"failCommands": ["ping"], "errorCode": 11602}`)
		for _, want := range outcomes {
			p.is(`{"ping": 1}`, want)
			p.is(`{"buildInfo": 1}`, works) // is not listed, and counts for nothing
		}
	}
	expect(`{"times": 2}`, fails, fails, works, works)
	expect(always, fails, fails, fails)
	expect(`"off"`, works)
	expect(`{"skip": 2}`, works, works, fails, fails)
	expect(`{"skip": 0}`, fails)
	expect(`{"times": 0}`, works)
	p.talk([][2]string{
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
	// A fail point knows a command by all its names, and never hits the command
	// that turns it off.
	p.fail(always, `{"failCommands": ["findandmodify", "configureFailPoint"], "errorCode": 91}`)
	p.is(`{"findAndModify": "c", "remove": true}`, `{"ok": 0, "code": 91}`)
	p.fail(`"off"`, `{}`)
	p.is(`{"findAndModify": "c", "remove": true}`, works)
	p.fail(always, `{"failCommands": ["hello"], "errorCode": 91}`)
	p.is(`{"hello": 1}`, `{"code": 91}`)
	p.is(`{"isMaster": 1}`, works)
}

func TestFailCommandLabels(t *testing.T) {
	p := dial(t, start(t))
	insert := `{"insert": "c", "documents": [{"_id": 1}]}`
	retryableError := `{"ok": 0, "errorLabels": ["RetryableWriteError"]}`
	p.fail(always, `{"failCommands": ["insert"], "errorCode": 91}`)
	p.is(retryable(t, insert, 1, 1), retryableError)
	p.is(insert, `{"ok": 0, "errorLabels": "absent"}`) // nothing to send again
	p.fail(always, `{"failCommands": ["insert"], "errorCode": 8}`)
	p.is(retryable(t, insert, 1, 1), `{"ok": 0, "errorLabels": "absent"}`)
	p.fail(always, `{"failCommands": ["insert"], "errorCode": 8, "errorLabels": ["RetryableWriteError", "Other"]}`)
	p.is(insert, `{"ok": 0, "errorLabels": ["RetryableWriteError", "Other"]}`)
	p.fail(always, `{"failCommands": ["insert"], "errorCode": 91, "errorLabels": []}`)
	p.is(retryable(t, insert, 1, 1), `{"ok": 0, "errorLabels": "absent"}`)
	p.is(`{"count": "c"}`, `{"n": 0}`)
	// A write concern's error comes with the write done.
	p.fail(`{"times": 1}`, `{"failCommands": ["insert"], "writeConcernError": {"code": 91, "errmsg": "going down", "errInfo": {"x": 1}}}`)
	p.is(retryable(t, insert, 1, 2), `{"ok": 1, "n": 1, "writeConcernError": {"code": 91, "errmsg": "going down", "errInfo": {"x": 1}}, "errorLabels": ["RetryableWriteError"]}`)
	p.is(retryable(t, insert, 1, 2), `{"ok": 1, "n": 1, "writeConcernError": "absent", "errorLabels": "absent"}`)
	p.fail(`{"times": 1}`, `{"failCommands": ["find"], "writeConcernError": {"code": 91}}`)
	p.is(`{"find": "c"}`, `{"ok": 1, "writeConcernError": "absent"}`)
}

func TestFailCommandCloses(t *testing.T) {
	s := start(t)
	p := dial(t, s)
	p.fail(`{"times": 1}`, `{"failCommands": ["insert"], "closeConnection": true}`)
	victim := dial(t, s)
	victim.ask(`{"insert": "c", "documents": [{"_id": 1}]}`)
	victim.closed()
	p.is(`{"count": "c"}`, `{"n": 0}`)
	p.fail(`{"times": 1}`, `{"failCommands": ["insert"], "closeConnection": false, "errorCode": 91}`)
	p.is(`{"insert": "c", "documents": [{"_id": 1}]}`, `{"code": 91}`)
}

func TestFailCommandByAppName(t *testing.T) {
	s := start(t)
	p, other := dial(t, s), dial(t, s)
	p.is(`{"hello": 1, "client": {"application": {"name": "mine"}}}`, `{"ok": 1}`)
	other.is(`{"hello": 1, "client": {"application": {"name": "other"}}}`, `{"ok": 1}`)
	p.fail(`{"times": 1}`, `{"failCommands": ["ping"], "appName": "mine", "errorCode": 91}`)
	other.is(`{"ping": 1}`, `{"ok": 1}`)
	dial(t, s).is(`{"ping": 1}`, `{"ok": 1}`)
	p.is(`{"ping": 1}`, `{"code": 91}`)
}

func TestFailCommandBlocks(t *testing.T) {
	s := start(t)
	p, other := dial(t, s), dial(t, s)
	p.fail(`{"times": 1}`, `{"failCommands": ["ping"], "blockConnection": true, "blockTimeMS": 300}`)
	began := time.Now()
	p.ask(`{"ping": 1}`)
	other.is(`{"buildInfo": 1}`, `{"ok": 1}`)
	p.reply(`{"ok": 1}`)
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("a blocked command took %s", took)
	}
	// A server that closes does not wait for it.
	p.fail(always, `{"failCommands": ["ping"], "blockConnection": true, "blockTimeMS": 600000}`)
	p.ask(`{"ping": 1}`)
	must(t, s.Close())
}

func TestOnPrimaryTransactionalWrite(t *testing.T) {
	s := start(t)
	p := dial(t, s)
	cut := func(data string) {
		t.Helper()
		p.is(`{"configureFailPoint": "onPrimaryTransactionalWrite", "mode": {"times": 1}, "data": `+data+`}`, `{"ok": 1}`)
	}
	for i, cmd := range []string{
		`{"insert": "c", "documents": [{"_id": 1}, {"_id": 2}]}`,
		`{"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}]}`,
		`{"findAndModify": "c", "query": {"_id": 1}, "update": {"$inc": {"n": 1}}}`,
		`{"delete": "c", "deletes": [{"q": {"_id": 2}, "limit": 1}]}`,
	} {
		txn := int64(10 * i)
		// After the commit: the fate of the write is not known to the client.
		cut(`{}`)
		victim := dial(t, s)
		victim.ask(retryable(t, cmd, 1, txn))
		victim.closed()
		p.is(retryable(t, cmd, 1, txn), `{"ok": 1, "writeErrors": "absent"}`)
	}
	p.is(`{"find": "c"}`, `{"cursor": {"firstBatch": [{"_id": 1, "n": 2}]}}`)
	// Before it: nothing is done.
	cut(`{"failBeforeCommitExceptionCode": 1}`)
	victim := dial(t, s)
	victim.ask(retryable(t, `{"insert": "c", "documents": [{"_id": 3}]}`, 1, 100))
	victim.closed()
	p.is(`{"count": "c"}`, `{"n": 1}`)
	cut(`{"failBeforeCommitExceptionCode": 91, "closeConnection": false}`)
	p.is(`{"insert": "c", "documents": [{"_id": 3}]}`, `{"ok": 1, "n": 1}`) // no retryable write
	p.is(retryable(t, `{"insert": "c", "documents": [{"_id": 4}]}`, 1, 101), `{"ok": 0, "code": 91, "errorLabels": ["RetryableWriteError"]}`)
	p.is(retryable(t, `{"insert": "c", "documents": [{"_id": 4}]}`, 1, 101), `{"ok": 1, "n": 1}`)
}
