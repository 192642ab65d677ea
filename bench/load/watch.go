package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

type object struct {
	Metadata struct {
		Name            string `json:"name"`
		ResourceVersion string `json:"resourceVersion"`
		UID             string `json:"uid"`
	} `json:"metadata"`
	Status struct {
		Conditions []struct{ Type, Status string } `json:"conditions"`
	} `json:"status"`
}

func (o *object) has(wanted string) bool {
	for _, condition := range o.Status.Conditions {
		if condition.Type == wanted {
			return condition.Status == "True"
		}
	}
	return false
}

// watcher follows a collection from where it was when the watcher was made.
type watcher struct {
	client     *client
	collection string
	version    string
	seen       func(*object, time.Time)
	stream     *http.Response
	breaks     atomic.Int64 // how often the server ended the stream, as it does with readers that are too slow for it
}

// newWatcher returns a watcher whose stream is open; seen gets each object with the time at which it was read.
func newWatcher(ctx context.Context, c *client, collection string, seen func(*object, time.Time)) (*watcher, error) {
	code, body, err := c.send(ctx, http.MethodGet, collection+"?limit=1", nil)
	if err != nil {
		return nil, err
	}
	if code != http.StatusOK {
		return nil, fmt.Errorf("list %s: %d %s", collection, code, body)
	}
	var list object
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, err
	}
	w := &watcher{client: c, collection: collection, version: list.Metadata.ResourceVersion, seen: seen}
	return w, w.open(ctx)
}

// follow returns only when the stream cannot go on.
func (w *watcher) follow(ctx context.Context) error {
	for {
		if err := w.read(); err != nil {
			return err
		}
		w.breaks.Add(1)
		if err := w.open(ctx); err != nil {
			return err
		}
	}
}

func (w *watcher) open(ctx context.Context) error {
	path := fmt.Sprintf("%s?watch=1&allowWatchBookmarks=true&resourceVersion=%s", w.collection, w.version)
	stream, err := w.client.open(ctx, "application/json", http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	w.stream = stream
	if stream.StatusCode != http.StatusOK {
		stream.Body.Close()
		return fmt.Errorf("watch %s: %s", w.collection, stream.Status)
	}
	return nil
}

// read returns nil when the server has ended the stream.
func (w *watcher) read() error {
	defer w.stream.Body.Close()
	lines := bufio.NewReaderSize(w.stream.Body, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		now := time.Now()
		if err != nil {
			return nil
		}
		var event struct {
			Type   string `json:"type"`
			Object object `json:"object"`
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return fmt.Errorf("the watch sent %.200q: %w", line, err)
		}
		switch event.Type {
		case "ERROR":
			return fmt.Errorf("the watch sent %.300s", line)
		case "ADDED", "MODIFIED":
			w.seen(&event.Object, now)
		}
		w.version = event.Object.Metadata.ResourceVersion
	}
}
