// Command booking stands for an app: it answers its own sidecar only.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		if token := os.Getenv("APP_API_TOKEN"); token == "" || r.Header.Get("dapr-api-token") != token {
			http.Error(w, "who is it?", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "hello from booking")
	})
	log.Print("booking listens")
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("APP_PORT"), nil))
}
