package server

import (
	"strings"

	"go.mongodb.org/mongo-driver/bson"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// command is what the server knows of a command: how to run it and what it
// makes of each field. A field in none of the lists is refused as unknown, so
// that nothing a client asks for is passed over.
type command struct {
	run func(*call) (bson.D, error)
	// does are the fields that are carried out.
	does string
	// accepts are fields that may be given and cannot change the outcome here.
	accepts string
	// lacks are fields that MongoDB has and this server refuses by name, unless
	// they ask for nothing (false, null, an empty document).
	lacks string
	// writes is set for commands that are acknowledged once they are on disk.
	writes bool
	// retries is set for those that a driver may send again with the same
	// lsid and txnNumber.
	retries bool
	// sequence is the field that may travel beside the body.
	sequence string
	// admin is set for commands of the database admin only.
	admin bool
	// handshake is set for those that an older driver may send as an OP_QUERY.
	handshake bool
	// open is set for those that, as in MongoDB, pass over a field that nobody
	// knows: what a newer driver offers and an older server cannot take up.
	open bool

	known, refused []string // the names in the lists above, of any command's too
}

// newCommands returns the table of all commands, with MongoDB's aliases.
// https://www.mongodb.com/docs/manual/reference/command/
func newCommands() map[string]*command {
	greeting := command{run: hello, handshake: true, open: true, does: "client helloOk",
		// Compression and authentication are offered by the client and not taken up.
		accepts: "compression saslSupportedMechs speculativeAuthenticate loadBalanced",
		lacks:   "topologyVersion maxAwaitTimeMS"}
	helloCmd, isMaster := greeting, greeting // two commands to a fail point
	txn := func(c *call) (bson.D, error) {
		return nil, mongoerr.Unsupported("multi-document transactions (%s)", c.name)
	}
	modify := &command{run: findAndModify, writes: true, retries: true,
		does: "query sort remove update new fields upsert arrayFilters hint let",
		// There are no validators to bypass.
		accepts: "bypassDocumentValidation", lacks: "collation"}
	build := &command{run: buildInfo, handshake: true}
	table := map[string]*command{
		"hello": &helloCmd, "isMaster": &isMaster, "ismaster": &isMaster,
		"ping":      {run: ping},
		"buildInfo": build, "buildinfo": build,
		"connectionStatus":   {run: connectionStatus, accepts: "showPrivileges"},
		"getParameter":       {run: getParameter, admin: true, does: "enableTestCommands requireApiVersion", lacks: "allParameters showDetails"},
		"serverStatus":       {run: serverStatus},
		"endSessions":        {run: endSessions},
		"refreshSessions":    {run: refreshSessions},
		"killSessions":       {run: killSessions},
		"killAllSessions":    {run: killAllSessions},
		"commitTransaction":  {run: txn, admin: true, writes: true},
		"abortTransaction":   {run: txn, admin: true, writes: true},
		"configureFailPoint": {run: configureFailPoint, admin: true, does: "mode data"},

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

		"insert":        {run: insert, writes: true, retries: true, sequence: "documents", does: "documents ordered", accepts: "bypassDocumentValidation"},
		"update":        {run: update, writes: true, retries: true, sequence: "updates", does: "updates ordered let", accepts: "bypassDocumentValidation"},
		"delete":        {run: remove, writes: true, retries: true, sequence: "deletes", does: "deletes ordered let"},
		"findAndModify": modify, "findandmodify": modify,

		"create": {run: create, writes: true, accepts: "autoIndexId",
			lacks: "capped size max timeseries expireAfterSeconds clusteredIndex idIndex changeStreamPreAndPostImages storageEngine validator validationLevel validationAction indexOptionDefaults viewOn pipeline collation encryptedFields"},
		"drop":            {run: drop, writes: true},
		"dropDatabase":    {run: dropDatabase, writes: true},
		"listCollections": {run: listCollections, does: "filter nameOnly cursor", accepts: "authorizedCollections"},
		"listDatabases":   {run: listDatabases, admin: true, does: "filter nameOnly", accepts: "authorizedDatabases"},
		"createIndexes":   {run: createIndexes, writes: true, does: "indexes", accepts: "commitQuorum", lacks: "ignoreUnknownIndexOptions"},
		"dropIndexes":     {run: dropIndexes, writes: true, does: "index"},
		"listIndexes":     {run: listIndexes, does: "cursor"},
	}
	for _, cmd := range table {
		cmd.known = strings.Fields(cmd.does + " " + cmd.accepts + " " + generic)
		cmd.refused = strings.Fields(cmd.lacks + " " + lackedByAll)
	}
	return table
}
