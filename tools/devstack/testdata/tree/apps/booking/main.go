// Command booking is a stand-in for an app. It answers GET /hello only for its
// sidecar, which sends the app token.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	// Like the apps, it listens before it is ready. The first health check of the
	// sidecar therefore fails.
	ready := time.Now().Add(300 * time.Millisecond)
	http.HandleFunc("GET /healthy", func(w http.ResponseWriter, _ *http.Request) {
		if time.Now().Before(ready) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		if token := os.Getenv("APP_API_TOKEN"); token == "" || r.Header.Get("dapr-api-token") != token {
			http.Error(w, "wrong app token", http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "hello from booking")
	})
	log.Print("booking listens")
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("APP_PORT"), nil))
}
