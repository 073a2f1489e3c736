// Command streams is a stand-in for the program that provisions the broker. It
// creates one stream with NATS's text protocol, so that it depends on no module.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

const stream = `{"name":"facts","subjects":["facts"]}`

func main() {
	u, err := url.Parse(os.Getenv("NATS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	conn, err := net.DialTimeout("tcp", u.Host, time.Second)
	if err != nil {
		log.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	password, _ := u.User.Password()
	fmt.Fprintf(conn, "CONNECT {\"verbose\":false,\"user\":%q,\"pass\":%q}\r\n", u.User.Username(), password)
	fmt.Fprintf(conn, "SUB answer 1\r\nPUB $JS.API.STREAM.CREATE.facts answer %d\r\n%s\r\n", len(stream), stream)
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if line := lines.Text(); strings.Contains(line, `"type":`) {
			if strings.Contains(line, `"error":`) && !strings.Contains(line, "already in use") {
				log.Fatal(line)
			}
			return
		}
	}
	log.Fatal("no answer")
}
