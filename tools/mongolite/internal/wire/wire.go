// Package wire reads and writes messages of MongoDB's wire protocol.
//
// It supports OP_MSG. It also supports OP_QUERY and OP_REPLY, which older
// drivers use for their first hello.
//
// References:
//   - https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
//   - https://github.com/mongodb/specifications/blob/master/source/message/OP_MSG.md
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/x/bsonx/bsoncore"
	"go.mongodb.org/mongo-driver/x/mongo/driver/wiremessage"

	"boxoffice/tools/mongolite/internal/mongoerr"
)

// MaxMessage is the largest size of a message in bytes, including its header.
const MaxMessage = 48_000_000

const headerLen = 16

// ErrProtocol is wrapped by errors that report a malformed message. The stream
// cannot be used after such an error.
var ErrProtocol = errors.New("malformed message")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Request is a message from a client.
type Request struct {
	ID         int32
	Body       bson.Raw
	Sequences  []Sequence
	MoreToCome bool // the client does not expect a reply
	// Database is the database that an OP_QUERY names. It is empty for an
	// OP_MSG, which names its database in the field $db of the body.
	Database string

	checksum bool
	query    bool
}

// Sequence is an array field of a command that the message carries in a separate
// section, outside the body.
type Sequence struct {
	Field string
	Docs  []bson.Raw
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// Read reads one message. It returns io.EOF if the stream ends before the first
// byte of the message, io.ErrUnexpectedEOF if it ends within the message, and
// an error that wraps ErrProtocol if the message is malformed.
func Read(r io.Reader) (*Request, error) {
	var header [headerLen]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	length := int32(binary.LittleEndian.Uint32(header[:]))
	if length < headerLen || length > MaxMessage {
		return nil, malformed("invalid length %d", length)
	}
	op := wiremessage.OpCode(binary.LittleEndian.Uint32(header[12:]))
	if op != wiremessage.OpMsg && op != wiremessage.OpQuery {
		return nil, malformed("unsupported opcode %s", op)
	}
	msg := make([]byte, 0, min(int(length), 1<<20))
	msg = append(msg, header[:]...)
	// Grow the buffer only as data arrives. Otherwise a client could make the
	// server allocate memory by sending a large length and no data.
	for len(msg) < int(length) {
		at, n := len(msg), min(int(length)-len(msg), 1<<20)
		msg = append(msg, make([]byte, n)...)
		if _, err := io.ReadFull(r, msg[at:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	req := &Request{ID: int32(binary.LittleEndian.Uint32(msg[4:]))}
	if op == wiremessage.OpQuery {
		return req, req.parseQuery(msg[headerLen:])
	}
	return req, req.parseMsg(msg)
}

func (req *Request) parseMsg(msg []byte) error {
	flags, rest, ok := wiremessage.ReadMsgFlags(msg[headerLen:])
	if !ok {
		return malformed("flags are missing")
	}
	const known = wiremessage.ChecksumPresent | wiremessage.MoreToCome
	if required := flags & 0xFFFF; required&^known != 0 {
		return malformed("unknown flags %#x", uint32(required&^known))
	}
	req.MoreToCome = flags&wiremessage.MoreToCome != 0
	if req.checksum = flags&wiremessage.ChecksumPresent != 0; req.checksum {
		if len(rest) < 4 {
			return malformed("the checksum is missing")
		}
		end := len(msg) - 4
		if crc32.Checksum(msg[:end], castagnoli) != binary.LittleEndian.Uint32(msg[end:]) {
			return malformed("the checksum does not match")
		}
		rest = rest[:len(rest)-4]
	}
	for len(rest) > 0 {
		kind := wiremessage.SectionType(rest[0])
		rest = rest[1:]
		switch kind {
		case wiremessage.SingleDocument:
			var doc bsoncore.Document
			if doc, rest, ok = wiremessage.ReadMsgSectionSingleDocument(rest); !ok {
				return malformed("the body is invalid")
			}
			if req.Body != nil {
				return malformed("more than one body")
			}
			req.Body = bson.Raw(doc)
		case wiremessage.DocumentSequence:
			seq, after, err := parseSequence(rest)
			if err != nil {
				return err
			}
			req.Sequences, rest = append(req.Sequences, seq), after
		default:
			return malformed("unknown section kind %d", kind)
		}
	}
	if req.Body == nil {
		return malformed("the body is missing")
	}
	return nil
}

func parseSequence(src []byte) (seq Sequence, rest []byte, err error) {
	if len(src) < 4 {
		return seq, nil, malformed("a sequence is truncated")
	}
	size := int64(int32(binary.LittleEndian.Uint32(src)))
	if size < 5 || size > int64(len(src)) {
		return seq, nil, malformed("a sequence has an invalid size of %d bytes", size)
	}
	body, rest := src[4:size], src[size:]
	end := strings.IndexByte(string(body[:min(len(body), 256)]), 0)
	if end < 0 {
		return seq, nil, malformed("a sequence has no name")
	}
	seq.Field = string(body[:end])
	for body = body[end+1:]; len(body) > 0; {
		doc, after, ok := bsoncore.ReadDocument(body)
		if !ok {
			return seq, nil, malformed("sequence %s contains an invalid document", seq.Field)
		}
		seq.Docs, body = append(seq.Docs, bson.Raw(doc)), after
	}
	return seq, rest, nil
}

func (req *Request) parseQuery(body []byte) error {
	_, rest, ok := wiremessage.ReadQueryFlags(body)
	var name string
	if ok {
		name, rest, ok = wiremessage.ReadQueryFullCollectionName(rest)
	}
	if ok {
		_, rest, ok = wiremessage.ReadQueryNumberToSkip(rest)
	}
	if ok {
		_, rest, ok = wiremessage.ReadQueryNumberToReturn(rest)
	}
	var doc bsoncore.Document
	if ok {
		doc, _, ok = wiremessage.ReadQueryQuery(rest)
	}
	db, isCommand := strings.CutSuffix(name, ".$cmd")
	if !ok || !isCommand {
		return malformed("OP_QUERY is not a command")
	}
	req.query, req.Database, req.Body = true, db, bson.Raw(doc)
	return nil
}

// AppendReply appends the reply to req to dst. The reply has the given id and body.
// It answers an OP_QUERY with an OP_REPLY, and an OP_MSG with an OP_MSG that
// has a checksum if the request had one.
func (req *Request) AppendReply(dst []byte, id int32, body bson.Raw) []byte {
	if req.query {
		start, dst := wiremessage.AppendHeaderStart(dst, id, req.ID, wiremessage.OpReply)
		dst = wiremessage.AppendReplyFlags(dst, wiremessage.AwaitCapable)
		dst = wiremessage.AppendReplyCursorID(dst, 0)
		dst = wiremessage.AppendReplyStartingFrom(dst, 0)
		dst = wiremessage.AppendReplyNumberReturned(dst, 1)
		dst = append(dst, body...)
		return bsoncore.UpdateLength(dst, start, int32(len(dst)-int(start)))
	}
	start, dst := wiremessage.AppendHeaderStart(dst, id, req.ID, wiremessage.OpMsg)
	var flags wiremessage.MsgFlag
	if req.checksum {
		flags = wiremessage.ChecksumPresent
	}
	dst = wiremessage.AppendMsgFlags(dst, flags)
	dst = wiremessage.AppendMsgSectionType(dst, wiremessage.SingleDocument)
	dst = append(dst, body...)
	if !req.checksum {
		return bsoncore.UpdateLength(dst, start, int32(len(dst)-int(start)))
	}
	dst = bsoncore.UpdateLength(dst, start, int32(len(dst)-int(start)+4))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// maxDepth is the maximum nesting depth of a document. MongoDB's manual promises
// only 100 levels:
// https://www.mongodb.com/docs/manual/reference/limits/#mongodb-limit-Nested-Depth-for-BSON-Documents
const maxDepth = 180

// Validate returns an error unless all documents of req are well-formed BSON
// whose nesting is within the limit. It also rejects JavaScript with scope, which
// this server does not support. Documents that pass can be decoded.
func Validate(req *Request) error {
	if err := validate(bsoncore.Document(req.Body), 1); err != nil {
		return err
	}
	for _, seq := range req.Sequences {
		for _, doc := range seq.Docs {
			if err := validate(bsoncore.Document(doc), 1); err != nil {
				return err
			}
		}
	}
	return nil
}

func validate(doc bsoncore.Document, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("documents are nested more than %d levels deep", maxDepth)
	}
	length, rest, ok := bsoncore.ReadLength(doc)
	if !ok || int(length) != len(doc) || length < 5 || doc[length-1] != 0 {
		return errors.New("a document has an invalid length")
	}
	for rest = rest[:len(rest)-1]; len(rest) > 0; {
		elem, after, ok := bsoncore.ReadElement(rest)
		if !ok {
			return errors.New("an element is truncated")
		}
		value, err := elem.ValueErr()
		if err != nil {
			return err
		}
		switch value.Type {
		case bson.TypeEmbeddedDocument, bson.TypeArray:
			if err := validate(value.Data, depth+1); err != nil {
				return err
			}
		case bson.TypeCodeWithScope:
			return mongoerr.Unsupported("values of type javascriptWithScope")
		default: // values of other types contain no document
		}
		rest = after
	}
	return nil
}
