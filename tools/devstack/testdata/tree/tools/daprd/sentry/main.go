// Command sentry is a stand-in for the certificate authority. It listens on the port of
// its arguments if its configuration and its key exist.
package main

import (
	"log"
	"net"
	"os"
	"path/filepath"
)

func main() {
	values := map[string]string{}
	for i := 1; i+1 < len(os.Args); i++ {
		values[os.Args[i]] = os.Args[i+1]
	}
	for _, path := range []string{values["--config"], filepath.Join(values["--issuer-credentials"], "issuer.key")} {
		if _, err := os.Stat(path); err != nil {
			log.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", values["--listen-address"]+":"+values["--port"])
	if err != nil {
		log.Fatal(err)
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		conn.Close()
	}
}
