package server

import (
	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// newCommands returns the table of all commands, with MongoDB's aliases.
// https://www.mongodb.com/docs/manual/reference/command/
func newCommands() map[string]*command {
	helloCmd := &command{run: hello, does: "client helloOk",
		// Compression and authentication are offered by the client and not taken up.
		accepts: "compression saslSupportedMechs speculativeAuthenticate loadBalanced",
		lacks:   "topologyVersion maxAwaitTimeMS"}
	// Sessions hold nothing here but the answers to retryable writes, which
	// only endSessions gives up.
	session := &command{run: ping}
	txn := &command{run: func(c *call) (bson.D, error) {
		return nil, mongoerr.Unsupported("multi-document transactions (%s)", c.name)
	}}
	modify := &command{run: findAndModify, writes: true, retries: true,
		does: "query sort remove update new fields upsert arrayFilters hint let",
		// There are no validators to bypass.
		accepts: "bypassDocumentValidation", lacks: "collation"}
	build := &command{run: buildInfo}
	return map[string]*command{
		"hello": helloCmd, "isMaster": helloCmd, "ismaster": helloCmd,
		"ping":      {run: ping},
		"buildInfo": build, "buildinfo": build,
		"connectionStatus":   {run: connectionStatus, accepts: "showPrivileges"},
		"getParameter":       {run: getParameter, does: "enableTestCommands requireApiVersion", lacks: "allParameters showDetails"},
		"endSessions":        {run: endSessions},
		"refreshSessions":    session,
		"killSessions":       session,
		"killAllSessions":    session,
		"commitTransaction":  txn,
		"abortTransaction":   txn,
		"configureFailPoint": {run: configureFailPoint, does: "mode data"},

		"find": {run: find,
			does: "filter sort projection hint skip limit batchSize singleBatch noCursorTimeout let",
			// All data is here and sorts stay in memory; oplogReplay does nothing in MongoDB either.
			accepts: "allowPartialResults allowDiskUse oplogReplay",
			lacks:   "collation tailable awaitData max min returnKey showRecordId"},
		"getMore":     {run: getMore, does: "collection batchSize"},
		"killCursors": {run: killCursors, does: "cursors"},
		"count":       {run: count, does: "query limit skip hint", lacks: "collation"},
		"distinct":    {run: distinct, does: "key query hint", lacks: "collation"},
		"aggregate": {run: aggregate,
			does:    "pipeline cursor hint let",
			accepts: "allowDiskUse bypassDocumentValidation",
			lacks:   "collation explain"},
		"explain": {run: explain, does: "verbosity"},

		"insert":        {run: insert, writes: true, retries: true, does: "documents ordered", accepts: "bypassDocumentValidation"},
		"update":        {run: update, writes: true, retries: true, does: "updates ordered let", accepts: "bypassDocumentValidation"},
		"delete":        {run: remove, writes: true, retries: true, does: "deletes ordered let"},
		"findAndModify": modify, "findandmodify": modify,

		"create": {run: create, writes: true, accepts: "autoIndexId",
			lacks: "capped size max timeseries expireAfterSeconds clusteredIndex changeStreamPreAndPostImages storageEngine validator validationLevel validationAction indexOptionDefaults viewOn pipeline collation encryptedFields"},
		"drop":            {run: drop, writes: true},
		"dropDatabase":    {run: dropDatabase, writes: true},
		"listCollections": {run: listCollections, does: "filter nameOnly cursor", accepts: "authorizedCollections"},
		"listDatabases":   {run: listDatabases, does: "filter nameOnly", accepts: "authorizedDatabases"},
		"createIndexes":   {run: createIndexes, writes: true, does: "indexes", accepts: "commitQuorum ignoreUnknownIndexOptions"},
		"dropIndexes":     {run: dropIndexes, writes: true, does: "index"},
		"listIndexes":     {run: listIndexes, does: "cursor"},
	}
}
