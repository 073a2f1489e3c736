package server

import (
	"strings"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// command describes a command: the function that runs it and the fields that
// it accepts. A request with a field in none of the lists fails, so that the
// server never ignores a part of a request by accident.
type command struct {
	run func(*call) (bson.D, error)
	// supported lists the fields that are implemented.
	supported string
	// ignored lists the fields that are accepted but have no effect on this
	// server.
	ignored string
	// unsupported lists the fields that MongoDB implements and this server
	// rejects by name, unless the value requests nothing; see hasEffect.
	unsupported string
	// isWrite reports whether the command is acknowledged only after its
	// changes are on disk.
	isWrite bool
	// isRetryable reports whether a driver may retry the command with the same
	// lsid and txnNumber.
	isRetryable bool
	// sequenceField names the array that a client may send as an OP_MSG
	// document sequence (section kind 1) instead of in the body.
	sequenceField string
	// adminOnly reports whether the command runs on the admin database only.
	adminOnly bool
	// isHandshake reports whether older drivers may send the command as an
	// OP_QUERY.
	isHandshake bool
	// ignoresUnknown reports whether the command ignores unknown fields, as
	// MongoDB's hello does: a newer driver offers features there that an older
	// server does not have.
	ignoresUnknown bool

	accepted []string // supported, ignored and genericFields
	rejected []string // unsupported and genericUnsupported
}

// newCommands returns the table of all commands, with MongoDB's aliases.
// https://www.mongodb.com/docs/manual/reference/command/
func newCommands() map[string]*command {
	handshake := command{run: hello, isHandshake: true, ignoresUnknown: true, supported: "client helloOk",
		// The client offers compression and authentication; the server uses neither.
		ignored:     "compression saslSupportedMechs speculativeAuthenticate loadBalanced",
		unsupported: "topologyVersion maxAwaitTimeMS"}
	helloCmd, isMaster := handshake, handshake // fail points distinguish the two
	txn := func(c *call) (bson.D, error) {
		return nil, mongoerr.Unsupported("multi-document transactions (%s)", c.name)
	}
	modify := &command{run: findAndModify, isWrite: true, isRetryable: true,
		supported: "query sort remove update new fields upsert arrayFilters hint let",
		// Collections have no validators that could be bypassed.
		ignored: "bypassDocumentValidation", unsupported: "collation"}
	build := &command{run: buildInfo, isHandshake: true}
	table := map[string]*command{
		"hello": &helloCmd, "isMaster": &isMaster, "ismaster": &isMaster,
		"ping":      {run: ping},
		"buildInfo": build, "buildinfo": build,
		"connectionStatus":   {run: connectionStatus, ignored: "showPrivileges"},
		"getParameter":       {run: getParameter, adminOnly: true, supported: "enableTestCommands requireApiVersion", unsupported: "allParameters showDetails"},
		"serverStatus":       {run: serverStatus},
		"endSessions":        {run: endSessions},
		"refreshSessions":    {run: refreshSessions},
		"killSessions":       {run: killSessions},
		"killAllSessions":    {run: killAllSessions},
		"commitTransaction":  {run: txn, adminOnly: true, isWrite: true},
		"abortTransaction":   {run: txn, adminOnly: true, isWrite: true},
		"configureFailPoint": {run: configureFailPoint, adminOnly: true, supported: "mode data"},

		"find": {run: find,
			supported: "filter sort projection hint skip limit batchSize singleBatch noCursorTimeout let",
			// The data is not sharded and sorts never use the disk. MongoDB ignores
			// oplogReplay too.
			ignored:     "allowPartialResults allowDiskUse oplogReplay",
			unsupported: "collation tailable awaitData max min returnKey showRecordId"},
		"getMore":     {run: getMore, supported: "collection batchSize"},
		"killCursors": {run: killCursors, supported: "cursors"},
		"count":       {run: count, supported: "query limit skip hint", unsupported: "collation"},
		"distinct":    {run: distinct, supported: "key query hint", unsupported: "collation"},
		"aggregate": {run: aggregate,
			supported:   "pipeline cursor hint let",
			ignored:     "allowDiskUse bypassDocumentValidation",
			unsupported: "collation explain"},
		"explain": {run: explain, supported: "verbosity"},

		"insert":        {run: insert, isWrite: true, isRetryable: true, sequenceField: "documents", supported: "documents ordered", ignored: "bypassDocumentValidation"},
		"update":        {run: update, isWrite: true, isRetryable: true, sequenceField: "updates", supported: "updates ordered let", ignored: "bypassDocumentValidation"},
		"delete":        {run: remove, isWrite: true, isRetryable: true, sequenceField: "deletes", supported: "deletes ordered let"},
		"findAndModify": modify, "findandmodify": modify,

		"create": {run: create, isWrite: true, ignored: "autoIndexId",
			unsupported: "capped size max timeseries expireAfterSeconds clusteredIndex idIndex changeStreamPreAndPostImages storageEngine validator validationLevel validationAction indexOptionDefaults viewOn pipeline collation encryptedFields"},
		"drop":            {run: drop, isWrite: true},
		"dropDatabase":    {run: dropDatabase, isWrite: true},
		"listCollections": {run: listCollections, supported: "filter nameOnly cursor", ignored: "authorizedCollections"},
		"listDatabases":   {run: listDatabases, adminOnly: true, supported: "filter nameOnly", ignored: "authorizedDatabases"},
		"createIndexes":   {run: createIndexes, isWrite: true, supported: "indexes", ignored: "commitQuorum", unsupported: "ignoreUnknownIndexOptions"},
		"dropIndexes":     {run: dropIndexes, isWrite: true, supported: "index"},
		"listIndexes":     {run: listIndexes, supported: "cursor"},
	}
	for _, cmd := range table {
		cmd.accepted = strings.Fields(cmd.supported + " " + cmd.ignored + " " + genericFields)
		cmd.rejected = strings.Fields(cmd.unsupported + " " + genericUnsupported)
	}
	return table
}
