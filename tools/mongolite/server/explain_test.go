package server_test

import "testing"

func TestExplainReportsPlanAndChangesNothing(t *testing.T) {
	p := dial(t, startServer(t))
	p.insertMany(20)
	p.expectAll([][2]string{
		{`{"createIndexes": "c", "indexes": [{"key": {"a": 1}, "name": "a_1"}]}`, `{"ok": 1}`},
		{`{"explain": {"find": "c", "filter": {"a": 1}}}`, `{"ok": 1,
			"queryPlanner": {"namespace": "test.c", "winningPlan": {"stage": "FETCH", "inputStage": {"stage": "IXSCAN", "indexName": "a_1", "keyPattern": {"a": 1}, "direction": "forward"}}},
			"executionStats": {"nReturned": 2, "totalKeysExamined": 2, "totalDocsExamined": 2}}`},
		{`{"explain": {"find": "c", "filter": {"b": 1}}, "verbosity": "executionStats"}`, `{"queryPlanner": {"winningPlan": {"stage": "COLLSCAN"}}, "executionStats": {"nReturned": 0, "totalKeysExamined": 0, "totalDocsExamined": 20}}`},
		{`{"explain": {"find": "c", "filter": {"a": 1}}, "verbosity": "queryPlanner"}`, `{"executionStats": "absent"}`},
		{`{"explain": {"find": "c", "sort": {"b": 1}}}`, `{"queryPlanner": {"winningPlan": {"stage": "SORT", "sortPattern": {"b": 1}, "inputStage": {"stage": "COLLSCAN"}}}}`},
		{`{"explain": {"find": "c", "sort": {"a": -1}, "limit": 3}}`, `{"queryPlanner": {"winningPlan": {"stage": "FETCH", "inputStage": {"direction": "backward"}}}, "executionStats": {"nReturned": 3}}`},
		{`{"explain": {"find": "missing"}}`, `{"ok": 1, "queryPlanner": {"winningPlan": {"stage": "EOF"}}}`},
		{`{"explain": {"count": "c", "query": {"a": 1}}}`, `{"executionStats": {"nReturned": 2}}`},
		{`{"explain": {"distinct": "c", "key": "a", "query": {"a": 1}}}`, `{"executionStats": {"nReturned": 2}}`},
		{`{"explain": {"aggregate": "c", "pipeline": [{"$match": {"a": 1}}], "cursor": {}}}`, `{"executionStats": {"nReturned": 2}}`},
		{`{"explain": {"update": "c", "updates": [{"q": {"a": 1}, "u": {"$set": {"b": 1}}}]}}`, `{"ok": 1, "queryPlanner": {"winningPlan": {"inputStage": {"indexName": "a_1"}}}}`},
		{`{"explain": {"delete": "c", "deletes": [{"q": {"a": 1}, "limit": 0}]}}`, `{"ok": 1, "executionStats": {"nReturned": 2}}`},
		{`{"explain": {"findAndModify": "c", "query": {"a": 1}, "remove": true}}`, `{"ok": 1, "executionStats": {"nReturned": 1}}`},
		{`{"count": "c"}`, `{"n": 20}`}, // the explained commands changed nothing
		{`{"explain": {"insert": "c", "documents": [{}]}}`, `{"ok": 0, "code": 238, "errmsg": "mongolite does not support explain of insert"}`},
		{`{"explain": {"nonsense": 1}}`, `{"ok": 0, "code": 59}`},
		{`{"explain": {"find": "c", "nonsense": 1}}`, `{"ok": 0, "code": 40415}`},
		{`{"explain": {"find": "c", "collation": {"locale": "fr"}}}`, `{"ok": 0, "code": 238}`},
		{`{"explain": {"find": "c"}, "verbosity": "nonsense"}`, `{"ok": 0, "code": 9}`},
		{`{"explain": 1}`, `{"ok": 0, "code": 14}`},
		{`{"explain": {}}`, `{"ok": 0, "code": 14}`},
	}...)
}
