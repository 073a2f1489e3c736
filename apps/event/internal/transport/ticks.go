package transport

import (
	"context"
	"net/http"
	"sync"
	"time"

	"boxoffice/shared/telemetry"
)

// sweepFor bounds one run of periodic work; what it did not reach waits for the
// next.
const sweepFor = 25 * time.Second

// OnTick does work each time the cron component of that name ticks, in every
// replica: the work claims what it works on. A tick that meets the one before
// does nothing.
func (in Inlet) OnTick(mux *http.ServeMux, component string, work func(context.Context) error) {
	var running sync.Mutex
	mux.Handle("POST /"+component, in.traced("tick "+component, func(w http.ResponseWriter, r *http.Request) {
		if !running.TryLock() {
			w.WriteHeader(http.StatusOK)
			return
		}
		defer running.Unlock()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), sweepFor)
		defer cancel()
		if err := work(ctx); err != nil {
			// The next tick does it again, so the sidecar need not know.
			in.Log.WarnContext(ctx, "periodic work failed", telemetry.KeyOperation, component, telemetry.KeyError, err.Error())
		}
		w.WriteHeader(http.StatusOK)
	}))
	// The sidecar asks once whether the program takes the component's ticks.
	mux.HandleFunc("OPTIONS /"+component, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
}
