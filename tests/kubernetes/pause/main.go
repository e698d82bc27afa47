// Command pause is the first process of every pod: it keeps the pod's namespaces alive, collects
// orphaned processes, and ends when told to.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT)
	for received := range signals {
		if received == syscall.SIGCHLD {
			collectOrphans()
			continue
		}
		return
	}
}

// collectOrphans waits for every child that has ended; one SIGCHLD may stand for several.
func collectOrphans() {
	for {
		process, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err != nil || process <= 0 {
			return
		}
	}
}
