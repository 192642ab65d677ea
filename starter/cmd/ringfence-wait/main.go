// ringfence-wait is what runs in the agent's container of a warm pod: `starter wait`, from the volume that
// `ringfence-starter feed` has put it on. It waits for its order and becomes the user's command, by execve.
//
// It is a program of its own because there is one in every warm pod, in memory: without the network it is less than
// half as large.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"ringfence.dev/starter/internal/launch"
	"ringfence.dev/starter/internal/order"
	"ringfence.dev/starter/internal/shared"
)

const usage = `Usage: starter wait [--shared DIRECTORY] [--termination-log FILE]

Waits until the pod has become an agent's, sets its environment, writes its files and becomes its command.

Exit codes: 127 if there is no such command, 126 if it cannot be executed, 128 + N after signal N while it waits,
2 for a mistyped call, 1 for everything else.
`

// realtimeStop is SIGRTMIN+3, by which images with systemd want to be stopped.
const realtimeStop = syscall.Signal(37)

func main() {
	leaveOnSignal()
	os.Exit(run(os.Args[1:]))
}

// leaveOnSignal ends the process at once when it is told to stop: process 1 has no default actions. Whatever image it
// runs in, one of these is its STOPSIGNAL.
func leaveOnSignal() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGUSR1,
		syscall.SIGUSR2, syscall.SIGALRM, realtimeStop)
	go func() {
		if number, isOne := (<-told).(syscall.Signal); isOne {
			os.Exit(128 + int(number))
		}
	}()
}

func run(arguments []string) int {
	if len(arguments) == 1 && arguments[0] == "--version" {
		fmt.Println("ringfence-wait", order.Version)
		return 0
	}
	if len(arguments) == 0 || arguments[0] != "wait" {
		return misused(len(arguments) == 1 && (arguments[0] == "--help" || arguments[0] == "-h"))
	}
	flags := flag.NewFlagSet("wait", flag.ContinueOnError)
	flags.Usage = func() {}
	directory := flags.String("shared", shared.Default, "")
	log := flags.String("termination-log", "/dev/termination-log", "")
	if err := flags.Parse(arguments[1:]); err != nil || flags.NArg() > 0 {
		return misused(err == flag.ErrHelp)
	}
	code, err := wait(shared.Directory(*directory))
	say(err, *log)
	return code
}

func misused(isWished bool) int {
	if isWished {
		fmt.Print(usage)
		return 0
	}
	fmt.Fprint(os.Stderr, usage)
	return 2
}

func wait(directory shared.Directory) (int, error) {
	start, err := launch.Await(directory)
	if err != nil {
		return 1, err
	}
	failed := launch.Become(start, os.Environ())
	return failed.Code, failed
}

// say writes why the agent does not run to where people look for it: the log, and the container's status.
func say(err error, log string) {
	sentence := fmt.Sprintf("ringfence: the agent was not started: %s\n", err)
	fmt.Fprint(os.Stderr, sentence)
	// The kubelet has made it; where it is missing nobody reads it.
	if file, err := os.OpenFile(log, os.O_WRONLY|os.O_TRUNC, 0); err == nil {
		_, _ = file.WriteString(sentence)
		_ = file.Close()
	}
}
