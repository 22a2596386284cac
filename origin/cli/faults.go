package cli

import (
	"encoding/json"
	"fmt"
	"net/http"

	"origin-storm/origin/kv"
)

// faultHandler lets a run begin and end faults of a store that this process hosts: PUT /faults/{id} with a kv.Fault as JSON, and
// DELETE. It stands on a listener of its own, which only a configuration that names one has.
func faultHandler(faults *kv.Faults) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /faults/{id}", func(w http.ResponseWriter, r *http.Request) {
		var f kv.Fault
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<12))
		d.DisallowUnknownFields()
		err := d.Decode(&f)
		if err == nil {
			err = faults.Begin(r.PathValue("id"), f)
		}
		if err != nil {
			http.Error(w, fmt.Sprintf("fault: %v", err), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /faults/{id}", func(w http.ResponseWriter, r *http.Request) {
		faults.End(r.PathValue("id"))
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
