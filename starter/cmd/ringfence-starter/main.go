// ringfence-starter makes a warm pod an agent's. `feed` is the pod's native sidecar, `ready` its postStart hook; what
// waits in the agent's container is ringfence-wait.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"ringfence.dev/starter/internal/control"
	"ringfence.dev/starter/internal/feed"
	"ringfence.dev/starter/internal/inside"
	"ringfence.dev/starter/internal/order"
	"ringfence.dev/starter/internal/shared"
)

const usage = `Usage: ringfence-starter COMMAND [OPTION...]

  feed    copy the program that waits in the agent's container into the shared directory, fetch the order that makes
          the pod an agent's, and hand it over once what confines the agent is in force
  ready   end with 0 once the shared directory has what the agent's container needs to start

Options, each with its variable:
  --shared DIRECTORY    RINGFENCE_STARTER_SHARED     the directory that both containers mount (/run/ringfence)
Of feed:
  --control URL         RINGFENCE_STARTER_CONTROL    the control server: https://ADDRESS:PORT
  --token FILE          RINGFENCE_STARTER_TOKEN      its token (/var/run/ringfence/token/token)
  --authority FILE      RINGFENCE_STARTER_AUTHORITY  whom the server's certificate is from
                                                     (/var/run/ringfence/authority/ca.crt)
  --canary HOST:PORT    RINGFENCE_STARTER_CANARY     what must not be reachable from the pod; empty: nothing is tried
  --program FILE        RINGFENCE_STARTER_PROGRAM    what waits (ringfence-wait, beside this program)
Of ready:
  --limit DURATION      RINGFENCE_STARTER_LIMIT      how long it waits (30s)
`

// options are those of both commands.
type options struct {
	shared, control, token, authority, canary, program string
	limit                                              time.Duration
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(arguments []string, out, log io.Writer) int {
	word := ""
	if len(arguments) > 0 {
		word = arguments[0]
	}
	switch word {
	case "--version":
		fmt.Fprintln(out, "ringfence-starter", order.Version)
		return 0
	case "--help", "-h", "help":
		fmt.Fprint(out, usage)
		return 0
	case "feed", "ready":
	default:
		fmt.Fprint(log, usage)
		return 2
	}
	given, err := parse(word, arguments[1:])
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(out, usage)
		return 0
	}
	if err != nil {
		fmt.Fprintf(log, "ringfence-starter %s: %s\n", word, err)
		return 2
	}
	command := feeding
	if word == "ready" {
		command = readying
	}
	if err := command(given, log); err != nil {
		fmt.Fprintf(log, "ringfence-starter %s: %s\n", word, err)
		return 1
	}
	return 0
}

func parse(word string, arguments []string) (*options, error) {
	given := &options{}
	flags := flag.NewFlagSet(word, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	variable := func(target *string, name, otherwise string) {
		flags.StringVar(target, name, otherwise, "")
		if value, isSet := os.LookupEnv("RINGFENCE_STARTER_" + strings.ToUpper(name)); isSet {
			*target = value
		}
	}
	variable(&given.shared, "shared", shared.Default)
	variable(&given.control, "control", "")
	variable(&given.token, "token", "/var/run/ringfence/token/token")
	variable(&given.authority, "authority", "/var/run/ringfence/authority/ca.crt")
	variable(&given.canary, "canary", "")
	variable(&given.program, "program", beside("ringfence-wait"))
	limit := ""
	variable(&limit, "limit", "30s")
	if err := flags.Parse(arguments); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("%q is no option", flags.Arg(0))
	}
	var err error
	if given.limit, err = time.ParseDuration(limit); err != nil {
		return nil, fmt.Errorf("--limit: %q is no duration: write 30s", limit)
	}
	return given, nil
}

// beside returns the path of a program of the same image.
func beside(name string) string {
	own, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(own), name)
}

func feeding(given *options, out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := newLog(out)
	client, err := control.NewClient(given.control, given.token, given.authority)
	if err != nil {
		return err
	}
	if err := inside.Check(given.canary); err != nil {
		return err
	}
	directory := shared.Directory(given.shared)
	if err := directory.Lock(ctx); err != nil {
		return unlessStopped(ctx, err)
	}
	if err := directory.Prepare(given.program); err != nil {
		return err
	}
	feeder, err := feed.New(directory, client, given.canary, log)
	if err != nil {
		return err
	}
	log.Info("starter.ready", "version", order.Version)
	feeder.Run(ctx)
	return nil
}

// unlessStopped returns the error, but not of what has only been told to end.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func readying(given *options, _ io.Writer) error {
	return feed.WaitReady(shared.Directory(given.shared), given.limit)
}

// newLog writes one JSON object a line, named as the logs of operator and sidecars are.
func newLog(out io.Writer) *slog.Logger {
	rename := func(_ []string, each slog.Attr) slog.Attr {
		switch each.Key {
		case slog.MessageKey:
			each.Key = "event"
		case slog.LevelKey:
			each.Value = slog.StringValue(strings.ToLower(each.Value.String()))
		}
		return each
	}
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{ReplaceAttr: rename}))
}
