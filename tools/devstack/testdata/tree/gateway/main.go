// Command gateway is a stand-in for the gateway. It calls booking through its
// sidecar.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if os.Getenv("TREE_NEVER_READY") != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) {
		req, err := http.NewRequest("GET", "http://127.0.0.1:"+os.Getenv("DAPR_HTTP_PORT")+"/v1.0/invoke/booking/method/hello", nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		req.Header.Set("dapr-api-token", os.Getenv("DAPR_API_TOKEN"))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		w.WriteHeader(res.StatusCode)
		io.Copy(w, res.Body)
	})
	log.Print("gateway listens")
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("APP_PORT"), nil))
}
