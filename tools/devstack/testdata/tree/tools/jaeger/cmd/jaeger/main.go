// Command jaeger is a stand-in for Jaeger. It listens on the addresses of its
// configuration and answers with no services.
package main

import (
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
)

func main() {
	config, err := os.ReadFile(os.Args[2]) // the argument of --config
	if err != nil {
		log.Fatal(err)
	}
	address := func(pattern string) string {
		return string(regexp.MustCompile(pattern).FindSubmatch(config)[1])
	}
	l, err := net.Listen("tcp", address(`protocols:\s+grpc: \{endpoint: "(.*)"\}`))
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	http.HandleFunc("GET /api/services", func(http.ResponseWriter, *http.Request) {})
	log.Fatal(http.ListenAndServe(address(`http: \{endpoint: "(.*)"\}`), nil))
}
