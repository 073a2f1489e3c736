package main

import (
	"bytes"
	"net"
	"strings"

	"github.com/valyala/fasthttp"
)

// maxRequestLine limits how much of a request line is kept, in bytes. A longer path is
// unknown.
const maxRequestLine = 4 << 10

// requestConn is a connection of a client. It keeps the request line that it last read,
// because fasthttp forgets the line of a request that it cannot parse. It is used by the
// goroutine of the connection only.
//
// A line that arrives together with the end of the previous request is not kept, so a
// pipelined request that cannot be parsed has no known path.
type requestConn struct {
	net.Conn
	line []byte
	// isDone reports whether the line was read to its end, or as far as it is kept.
	isDone bool
}

// requestListener accepts connections as *requestConn.
type requestListener struct{ net.Listener }

// Accept implements net.Listener.
func (l requestListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &requestConn{Conn: conn}, nil
}

// Read implements net.Conn.
func (c *requestConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.isDone {
		c.keep(p[:n])
	}
	return n, err
}

// keep appends the part of data that belongs to the request line. It skips empty lines
// before it (RFC 9112, section 2.2).
func (c *requestConn) keep(data []byte) {
	if len(c.line) == 0 {
		data = bytes.TrimLeft(data, "\r\n")
	}
	end := bytes.IndexByte(data, '\n')
	if end >= 0 {
		data = data[:end+1]
	}
	data = data[:min(len(data), maxRequestLine-len(c.line))]
	c.line = append(c.line, data...)
	c.isDone = end >= 0 || len(c.line) == maxRequestLine
}

// next prepares for the next request, once the current one was parsed.
func (c *requestConn) next() { c.line, c.isDone = c.line[:0], false }

// nextRequest calls next on the connection of a request.
func nextRequest(c *fasthttp.RequestCtx) {
	if conn, ok := c.Conn().(*requestConn); ok {
		conn.next()
	}
}

// requestLine returns the method and the path of the request line. ok is false if the line
// is not known or has no path.
func (c *requestConn) requestLine() (method, path string, ok bool) {
	if !c.isDone {
		return "", "", false
	}
	method, target, _ := strings.Cut(string(c.line), " ")
	end := strings.IndexAny(target, " ?#\r\n")
	if end < 0 {
		return method, "", false
	}
	target = target[:end]
	if scheme, rest, ok := strings.Cut(target, "://"); ok && !strings.Contains(scheme, "/") {
		if target = "/"; strings.Contains(rest, "/") {
			target = rest[strings.IndexByte(rest, '/'):]
		}
	}
	if method == "" || !strings.HasPrefix(target, "/") {
		return method, "", false
	}
	return method, target, true
}

// SetWriteBuffer sets the size of the kernel's send buffer, if the connection has one.
func (c *requestConn) SetWriteBuffer(bytes int) error {
	if conn, ok := c.Conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		return conn.SetWriteBuffer(bytes)
	}
	return nil
}
