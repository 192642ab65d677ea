// fetch gets URLs with Go's own HTTP client and prints what comes: `fetch URL...`. For tests that a program in Go
// needs no change. Proxies and authorities are taken from the environment, as the standard library does.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const timeout = 20 * time.Second

func main() {
	client := &http.Client{Timeout: timeout}
	for _, url := range os.Args[1:] {
		if err := fetch(client, url); err != nil {
			fmt.Fprintln(os.Stderr, "fetch:", err)
			os.Exit(1)
		}
	}
}

func fetch(client *http.Client, url string) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}
