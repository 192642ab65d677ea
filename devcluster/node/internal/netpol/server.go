package netpol

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"k8s.io/klog/v2"

	"ringfence.dev/devcluster/internal/attachment"
)

// attachTimeout is shorter than the plugin's patience, so that the plugin hears why.
const attachTimeout = 15 * time.Second

var errLate = errors.New("the engine did not get there in time")

// Serve answers the CNI plugin on a unix socket until ctx is done.
func (e *Engine) Serve(ctx context.Context, socket string) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: e.routes(), ReadHeaderTimeout: attachTimeout}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (e *Engine) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", e.handleHealth)
	mux.HandleFunc("POST "+attachment.Path, e.handleAttach)
	mux.HandleFunc("DELETE "+attachment.Path+"/{id}", e.handleDetach)
	return mux
}

func (e *Engine) handleHealth(w http.ResponseWriter, _ *http.Request) {
	if !e.Ready() {
		http.Error(w, "no rules in force yet", http.StatusServiceUnavailable)
	}
}

func (e *Engine) handleAttach(w http.ResponseWriter, r *http.Request) {
	var a attachment.Attachment
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), attachTimeout, errLate)
	defer cancel()
	began := time.Now()
	err := e.Attach(ctx, a)
	klog.InfoS("attach", "pod", klog.KRef(a.Namespace, a.Name), "addresses", a.IPs, "took", time.Since(began), "err", err)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

func (e *Engine) handleDetach(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	err := e.Detach(id)
	klog.InfoS("detach", "container", id, "err", err)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
