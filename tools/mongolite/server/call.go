package server

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/codec"
	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
	"boxoffice/tools/mongolite/internal/wire"
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

// generic are the fields that any command may have.
// https://www.mongodb.com/docs/manual/reference/command/
const generic = "$db lsid txnNumber readConcern writeConcern maxTimeMS comment $readPreference apiVersion $clusterTime apiDeprecationErrors"

// lackedByAll are the fields that are refused in any command.
const lackedByAll = "startTransaction autocommit apiStrict"

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

// readGeneric checks the names of all fields and reads those that any command
// may have.
func (c *call) readGeneric() error {
	if err := c.checkNames(); err != nil {
		return err
	}
	if err := c.readDatabase(); err != nil {
		return err
	}
	if v, ok := c.get("apiVersion"); ok && v != "1" {
		return mongoerr.New(322, "API version must be \"1\"")
	}
	if err := c.readSession(); err != nil {
		return err
	}
	if err := c.readConcerns(); err != nil {
		return err
	}
	let, err := c.doc("let")
	if err != nil {
		return err
	}
	c.vars, err = query.NewVars(time.Now(), let)
	return err
}

func (c *call) checkNames() error {
	fields := c.body[1:]
	if c.cmd.open {
		fields = slices.DeleteFunc(slices.Clone(fields), func(e bson.E) bool { return !slices.Contains(c.cmd.refused, e.Key) })
	}
	if err := checkFields(c.name, fields, c.cmd.known, c.cmd.refused); err != nil {
		return err
	}
	names := make([]string, 0, len(c.body)+len(c.seqs))
	for _, e := range c.body {
		names = append(names, e.Key)
	}
	for _, seq := range c.seqs {
		if seq.Field != c.cmd.sequence {
			return mongoerr.New(mongoerr.UnknownField, "BSON field '%s.%s' is an unknown field.", c.name, seq.Field)
		}
		names = append(names, seq.Field)
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return mongoerr.New(40413, "BSON field '%s.%s' is a duplicate field", c.name, name)
		}
	}
	return nil
}

func (c *call) readDatabase() error {
	if v, ok := c.get("$db"); ok {
		if c.db, ok = v.(string); !ok {
			return wrongType("$db", v, "")
		}
	} else if c.db == "" {
		return mongoerr.New(40571, "OP_MSG requests require a $db argument")
	}
	if c.db == "" || len(c.db) > 63 || strings.ContainsAny(c.db, "/\\. \"$\x00") {
		return mongoerr.New(mongoerr.InvalidNamespace, "Invalid database name: '%s'", c.db)
	}
	if c.cmd.admin && c.db != "admin" {
		return mongoerr.New(mongoerr.Unauthorized, "%s may only be run against the admin database.", c.name)
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

// asks tells whether a refused field asks for anything.
func asks(field string, v any) bool {
	if d, ok := v.(bson.D); ok {
		simple := field == "collation" && len(d) == 1 && d[0] == bson.E{Key: "locale", Value: "simple"}
		return len(d) > 0 && !simple
	}
	if field == "autocommit" { // false is how a transaction goes on
		return v != nil && v != true
	}
	return v != nil && v != false
}

func (c *call) readSession() error {
	lsid, err := c.doc("lsid")
	if err != nil {
		return err
	}
	if lsid != nil {
		if c.session, err = sessionID(lsid); err != nil {
			return err
		}
	}
	if _, ok := c.get("txnNumber"); ok {
		switch {
		case c.session == "":
			return mongoerr.New(mongoerr.InvalidOptions, "Transaction number requires a session ID to also be specified")
		case !c.cmd.retries:
			return mongoerr.New(mongoerr.OperationNotSupportedInTxn, "Cannot run '%s' in a retryable write", c.name)
		}
		c.retry = true
		c.txn, err = c.integer("txnNumber", 0)
	}
	return err
}

func sessionID(lsid bson.D) (string, error) {
	if err := checkFields("lsid", lsid, []string{"id"}, []string{"uid", "txnNumber", "txnUUID"}); err != nil {
		return "", err
	}
	id, _ := lookup(lsid, "id")
	uuid, ok := id.(primitive.Binary)
	if !ok || uuid.Subtype != 4 || len(uuid.Data) != 16 {
		return "", mongoerr.New(mongoerr.TypeMismatch, "BSON field 'lsid.id' must be a UUID")
	}
	return string(uuid.Data), nil
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

// get returns a field of the command.
func (c *call) get(name string) (any, bool) { return lookup(c.body, name) }

func lookup(d bson.D, name string) (any, bool) {
	for _, e := range d {
		if e.Key == name {
			return e.Value, true
		}
	}
	return nil, false
}

// The following read a field of the command, or say that it is of the wrong
// type. A field that is not there, or null, is the zero value or def.

func (c *call) doc(name string) (bson.D, error) {
	return field[bson.D](c.name, c.body, name)
}

func (c *call) array(name string) (bson.A, error) {
	return field[bson.A](c.name, c.body, name)
}

func (c *call) boolean(name string, def bool) (bool, error) {
	return flag(c.name, c.body, name, def)
}

func (c *call) integer(name string, def int64) (int64, error) {
	return integer(c.name, c.body, name, def)
}

func field[T any](command string, d bson.D, name string) (T, error) {
	v, _ := lookup(d, name)
	t, ok := v.(T)
	if !ok && v != nil {
		return t, wrongType(command+"."+name, v, t)
	}
	return t, nil
}

func wrongType(field string, got, want any) error {
	return mongoerr.New(mongoerr.TypeMismatch, "BSON field '%s' is the wrong type '%s', expected type '%s'", field, typeName(got), typeName(want))
}

func typeName(v any) string {
	_, t := bsonkit.Inspect(v)
	return bsonkit.Type2Alias[t]
}

func flag(command string, d bson.D, name string, def bool) (bool, error) {
	switch v, _ := lookup(d, name); v := v.(type) {
	case nil:
		return def, nil
	case bool:
		return v, nil
	case int32, int64, float64:
		return bsonkit.Compare(v, int32(0)) != 0, nil
	default:
		return false, wrongType(command+"."+name, v, true)
	}
}

func integer(command string, d bson.D, name string, def int64) (int64, error) {
	var n int64
	switch v, _ := lookup(d, name); v := v.(type) {
	case nil:
		return def, nil
	case int32:
		n = int64(v)
	case int64:
		n = v
	case float64:
		if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
			return 0, mongoerr.New(mongoerr.FailedToParse, "BSON field '%s.%s' must be a whole number", command, name)
		}
		n = int64(v)
	default:
		return 0, wrongType(command+"."+name, v, int64(0))
	}
	if n < 0 && name != "limit" {
		return 0, mongoerr.New(51024, "BSON field '%s' value must be >= 0, actual value '%d'", name, n)
	}
	return n, nil
}

// ns returns the namespace that the command's first field names.
func (c *call) ns() (string, error) {
	coll, ok := c.body[0].Value.(string)
	if !ok {
		return "", mongoerr.New(mongoerr.InvalidNamespace, "collection name has invalid type %s", typeName(c.body[0].Value))
	}
	return c.namespace(c.db, coll)
}

// namespace checks the name of a collection.
// https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
func (c *call) namespace(db, coll string) (string, error) {
	ns := db + "." + coll
	switch {
	case db == "" || coll == "" || strings.HasPrefix(coll, ".") || strings.HasSuffix(coll, ".") || strings.ContainsAny(coll, "$\x00"):
		return "", mongoerr.New(mongoerr.InvalidNamespace, "Invalid namespace specified '%s'", ns)
	case len(ns) > 255:
		return "", mongoerr.New(mongoerr.InvalidNamespace, "Fully qualified namespace is too long: '%s'", ns)
	case strings.HasPrefix(coll, "system."):
		return "", mongoerr.Unsupported("system collections (%s)", ns)
	}
	return ns, nil
}
