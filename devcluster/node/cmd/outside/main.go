// outside plays the rest of the world for a development cluster: name servers, and servers behind the names.
// It is a test bed, not part of the product.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"ringfence.dev/devcluster/internal/outside"
)

func main() {
	path := flag.String("config", "", "file that says what there is outside")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *path); err != nil {
		fmt.Fprintln(os.Stderr, "outside:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string) error {
	config, err := outside.Load(path)
	if err != nil {
		return err
	}
	return outside.Run(ctx, config)
}
