package server

import (
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"

	"boxoffice/tools/mongolite/internal/mongoerr"
	"boxoffice/tools/mongolite/internal/query"
)

// genericFields lists the fields that every command accepts.
// https://www.mongodb.com/docs/manual/reference/command/
const genericFields = "$db lsid txnNumber readConcern writeConcern maxTimeMS comment $readPreference apiVersion $clusterTime apiDeprecationErrors"

// genericUnsupported lists the fields that every command rejects.
const genericUnsupported = "startTransaction autocommit apiStrict"

// parseGenericFields checks the names of all fields. It then parses the field let
// and those of genericFields that have an effect, except maxTimeMS, which
// call.execute parses.
func (c *call) parseGenericFields() error {
	if err := c.checkFieldNames(); err != nil {
		return err
	}
	if err := c.parseDatabase(); err != nil {
		return err
	}
	if v, ok := c.get("apiVersion"); ok && v != "1" {
		return mongoerr.New(322, "API version must be \"1\"")
	}
	if err := c.parseSession(); err != nil {
		return err
	}
	if err := c.parseConcerns(); err != nil {
		return err
	}
	let, err := c.doc("let")
	if err != nil {
		return err
	}
	c.vars, err = query.NewVars(time.Now(), let)
	return err
}

// checkFieldNames returns an error if the request has an unknown, unsupported or
// duplicate field, or a document sequence that the command does not accept.
func (c *call) checkFieldNames() error {
	fields := c.body[1:]
	if c.cmd.ignoresUnknown {
		fields = slices.DeleteFunc(slices.Clone(fields), func(e bson.E) bool { return !slices.Contains(c.cmd.rejected, e.Key) })
	}
	if err := checkFields(c.name, fields, c.cmd.accepted, c.cmd.rejected); err != nil {
		return err
	}
	names := make([]string, 0, len(c.body)+len(c.seqs))
	for _, e := range c.body {
		names = append(names, e.Key)
	}
	for _, seq := range c.seqs {
		if seq.Field != c.cmd.sequenceField {
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

// parseDatabase sets c.db and checks that the command may run on it.
func (c *call) parseDatabase() error {
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
	if c.cmd.adminOnly && c.db != "admin" {
		return mongoerr.New(mongoerr.Unauthorized, "%s may only be run against the admin database.", c.name)
	}
	return nil
}

// parseSession reads lsid and txnNumber.
func (c *call) parseSession() error {
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
		case !c.cmd.isRetryable:
			return mongoerr.New(mongoerr.OperationNotSupportedInTxn, "Cannot run '%s' in a retryable write", c.name)
		}
		c.isRetryable = true
		c.txnNumber, err = c.integer("txnNumber", 0)
	}
	return err
}

// sessionID returns the 16 bytes of lsid.id.
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
