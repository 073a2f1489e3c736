// Command daprd is a stand-in for the sidecar. It listens on the HTTP port of its
// arguments and answers that it is ready.
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	values := map[string]string{}
	for i := 1; i+1 < len(os.Args); i++ {
		values[os.Args[i]] = os.Args[i+1]
	}
	if os.Getenv("DAPR_API_TOKEN") == "" {
		log.Fatal("no token")
	}
	http.HandleFunc("GET /v1.0/healthz/outbound", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	http.HandleFunc("GET /v1.0/invoke/"+values["--app-id"]+"/method/healthy", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("dapr-api-token") != os.Getenv("DAPR_API_TOKEN") {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	log.Print("sidecar of ", values["--app-id"])
	log.Fatal(http.ListenAndServe("127.0.0.1:"+values["--dapr-http-port"], nil))
}
